//! Files of other worlds, through the program: named with their evidence, read right, refused with
//! a list where several readings are possible.

use engine::gguf::Writer;
use sha2::{Digest, Sha256};

use crate::program::{Folder, Harness};

/// One of the three files that the predecessor, BitNet-rs, made and never committed.
struct Predecessor {
    name: &'static str,
    rows: u64,
    cols: u64,
    seed: u32,
    packed: Vec<u8>,
    bytes: usize,
    sha256: &'static str,
    flavor: &'static str,
}

fn predecessors() -> [Predecessor; 3] {
    let block = [[0xff; 8].as_slice(), &[0x00, 0x3c]].concat();
    [
        Predecessor {
            name: "qk256_4x256.gguf",
            rows: 4,
            cols: 256,
            seed: 42,
            packed: vec![0xaa; 256],
            bytes: 10_816,
            sha256: "a41cc62c893bcf1d4c03c30ed3da12da03c339847c4d564e9e5794b5d4c6932a",
            flavor: "qk256",
        },
        Predecessor {
            name: "bitnet32_2x64.gguf",
            rows: 2,
            cols: 64,
            seed: 43,
            packed: block.repeat(4),
            bytes: 8_832,
            sha256: "c1568a0a08e38ef2865ce0816bfd2c617e5589c113114cd731e4c5014b7fbb20",
            flavor: "bitnet32-f16",
        },
        Predecessor {
            name: "qk256_3x300.gguf",
            rows: 3,
            cols: 300,
            seed: 44,
            packed: vec![0; 384],
            bytes: 10_696,
            sha256: "6e5a4f21607c0064affbcb86133627478eb34d812b59807a7123ff386c63bd3e",
            flavor: "qk256",
        },
    ]
}

impl Predecessor {
    /// The file, whose dimensions are rows first.
    fn file(&self) -> Vec<u8> {
        let dims = [self.rows, self.cols];
        let arch = |key: &str| format!("bitnet-b1.58.{key}");
        let head = half::f16::from_f32(self.seed as f32 / 256.0).to_le_bytes();
        let mut file = Writer::new(3)
            .key(
                "general.name",
                format!("fixture_seed_{}", self.seed).as_str(),
            )
            .key("general.architecture", "bitnet")
            .key("tokenizer.ggml.tokens", vec![String::new(); 1000])
            .key(&arch("embedding_length"), 512_u32)
            .key(&arch("block_count"), 1_u32)
            .key(&arch("attention.head_count"), 8_u32)
            .key(&arch("attention.head_count_kv"), 8_u32)
            .key(&arch("feed_forward_length"), 2048_u32)
            .tensor("tok_embeddings.weight", &dims, 36, self.packed.clone())
            .tensor(
                "output.weight",
                &dims,
                1,
                head.repeat((self.rows * self.cols) as usize),
            )
            .finish();
        file.truncate(self.bytes); // its writer pads nothing behind the last tensor
        file
    }
}

#[test]
fn the_three_files_of_the_predecessor_open_and_are_named() {
    let folder = Folder::new();
    for file in predecessors() {
        let bytes = file.file();
        let sha256: String = Sha256::digest(&bytes)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(
            sha256, file.sha256,
            "{}: not rebuilt to the byte",
            file.name
        );
        let path = folder.file(file.name, &bytes);
        let answer = Harness::new("inspect --tensors --json -")
            .arg(&path)
            .run()
            .exits(0)
            .json();
        assert_eq!(answer["dialect"]["name"], "bitnet-rs", "{answer:#}");
        let note = answer["dialect"]["notes"][0].as_str().expect("a note");
        assert!(note.contains("rows first"), "{note}");
        let tensor = &answer["tensors"][0];
        assert_eq!(tensor["dims"], serde_json::json!([file.cols, file.rows]));
        assert_eq!(tensor["flavor"], file.flavor);
        let text = Harness::new("inspect").arg(&path).run().exits(0).stdout;
        assert!(
            text.contains("bitnet-rs") && text.contains("note: "),
            "{text}"
        );
        let check = Harness::new("check").arg(&path).run();
        assert!(check.stdout.contains("dialect-foreign"), "{}", check.stdout);
    }
}

/// The same bytes with the dimensions as everybody writes them: no note, and nothing turned round.
#[test]
fn dimensions_as_everybody_writes_them_are_not_turned_round() {
    let folder = Folder::new();
    let file = &predecessors()[0];
    let straight = Writer::new(3)
        .tensor(
            "tok_embeddings.weight",
            &[file.cols, file.rows],
            36,
            file.packed.clone(),
        )
        .finish();
    let path = folder.file("straight.gguf", &straight);
    let answer = Harness::new("inspect --tensors --json -")
        .arg(&path)
        .run()
        .exits(0)
        .json();
    assert_eq!(answer["tensors"][0]["dims"], serde_json::json!([256, 4]));
    assert_eq!(answer["dialect"]["notes"], serde_json::json!([]));
    assert_eq!(
        answer["dialect"]["name"], "bitnet-rs",
        "QK256 is its packing"
    );
}
