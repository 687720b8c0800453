//! A document is the file it was read from, but for what was edited.

use super::*;
use engine::bytes::ModelBytes;

fn fixture(name: &str) -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::read(folder.join("../fixtures").join(name)).expect("committed")
}

fn read(bytes: Vec<u8>) -> Document {
    let gguf = Gguf::parse(ModelBytes::from_vec(bytes)).expect("sound");
    Document::read(&gguf).expect("decided")
}

#[test]
fn an_unedited_document_writes_the_file_it_came_from() {
    for name in [
        "moby-tiny/moby-tiny-b158.gguf",
        "moby-tiny/moby-tiny-bitnet.gguf",
    ] {
        let bytes = fixture(name);
        assert!(read(bytes.clone()).file() == bytes, "{name}");
    }
}

#[test]
fn an_edit_changes_the_values_it_means_and_a_second_one_undoes_it() {
    let bytes = fixture("moby-tiny/moby-tiny-b158.gguf");
    let mut document = read(bytes.clone());
    let name = "blk.1.ffn_up.weight";
    let shape = document.tensor(name).expect("a layer").shape();
    let order: Vec<usize> = (0..shape.rows).rev().collect();
    let edit = |document: &mut Document| {
        document
            .edit(name, |grid| grid.permute_rows(&order))
            .expect("ternary");
        document
            .edit(name, |grid| grid.negate_cols(|col| col % 3 == 0))
            .expect("ternary");
    };
    edit(&mut document);
    let edited = document.file();
    assert_eq!(edited.len(), bytes.len());
    assert!(edited != bytes);
    edit(&mut document);
    assert!(document.file() == bytes);
    let missing = document.edit("blk.9.ffn_up.weight", |_| ());
    assert!(
        missing
            .expect_err("no layer 9")
            .to_string()
            .contains("blk.9")
    );
}

#[test]
fn keys_and_alignment_survive() {
    let mut document = Document::default();
    document.set("general.alignment", 64_u32);
    document.set("a", 1_u32);
    document.set("a", 2_u32);
    let shape = Shape { rows: 1, cols: 3 };
    document.push("t", Format::F32, shape, &[1.0, 2.0, 3.0]);
    let again = read(document.file());
    assert_eq!(again.key("a"), Some(&Field::U32(2)));
    assert_eq!(again.file(), document.file());
    assert_eq!(again.tensor("t").map(|t| t.dims.clone()), Some(vec![3]));
}
