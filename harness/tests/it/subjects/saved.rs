//! Logits in files.

use engine::encoding::float::Float;
use harness::case::ability::Ability;
use harness::io::kl_base::{self, CodedRow, Head};
use harness::judge::demand::JudgedBy;
use harness::judge::outcome::Outcome;
use harness::judge::verdict::Verdict;
use harness::numbers::metrics::log_softmax;

use super::{Desk, ids_of_the_prompt, model};
use crate::program::ends::{assert_ends, harness};

const OURS: &str = "mar2026-b158-avx512";

fn next(value: f32) -> f32 {
    f32::from_bits(value.to_bits() + 1)
}

#[test]
fn equal_bits_are_equal_whoever_made_them() {
    let desk = Desk::new();
    let said = desk.judge(&desk.path("ours.npy"), &[]);
    let words = [
        "judged: ours.npy (unnamed)",
        "bit-identical 22528/22528 logits",
    ];
    assert_ends(&said, 0, &words);
    let receipt = desk.receipt();
    let claims = &receipt.cases[0].claims;
    assert_eq!(claims.engine.identity.name, "ours.npy");
    assert_eq!(claims.validation.compute, "saved");
    assert!(claims.engine.lacking.contains(&Ability::Decode));
    let exact = claims.comparisons.iter().find(|c| c.reference.name == OURS);
    let exact = exact.expect("it was asked");
    assert!(exact.logits_bit_identical && exact.judged_by.is_none());
    assert_eq!(exact.verdict, Verdict::Agree);
    // Every node as well, and as safetensors.
    let both = format!(
        "{},trace={}",
        desk.path("ours.npy"),
        desk.path("n.safetensors")
    );
    assert_ends(
        &desk.judge(&both, &["--profile", "ggml-avx512"]),
        0,
        &["nodes 354/354"],
    );
    desk.receipt();
}

#[test]
fn one_ulp_breaks_a_claim_and_not_the_nearest_tier() {
    let desk = Desk::new();
    let (shape, mut values) = desk.ours();
    values[3 * 1024 + 100] = next(values[3 * 1024 + 100]);
    let file = desk.write("ulp.npy", &shape, &values);
    let words = ["DIVERGE: prefill position 3: bits differ", "1 ulp"];
    assert_ends(&desk.judge(&file, &["--profile", "ggml-avx512"]), 1, &words);
    let words = "judged by nearest tier t1-other-order";
    assert_ends(&desk.judge(&file, &[]), 0, &[words]);
    let receipt = desk.receipt();
    for comparison in &receipt.cases[0].claims.comparisons {
        assert!(matches!(comparison.judged_by, Some(JudgedBy::Nearest(_))));
    }
    assert_ends(&desk.judge(&file, &["--ulp", "0"]), 1, &["more than 0 ulp"]);
    desk.receipt();
}

#[test]
fn shifted_rows_and_short_files_are_never_left_unjudged() {
    let desk = Desk::new();
    let (shape, mut values) = desk.ours();
    values.rotate_right(shape[1]);
    let file = desk.write("shifted.npy", &shape, &values);
    let said = assert_ends(&desk.judge(&file, &[]), 1, &["DIVERGE", "0/11"]);
    assert!(said.contains("0 not judged"), "{said}");
    assert_eq!(desk.receipt().parity.status, Outcome::Divergence);
    let file = desk.write("short.npy", &[10, 1024], &values[..10 * 1024]);
    let words = ["short.npy has 10 rows", "expected 11"];
    assert_ends(&desk.judge(&file, &[]), 2, &words);
    let file = desk.write("narrow.npy", &[11, 512], &values[..11 * 512]);
    assert_ends(&desk.judge(&file, &[]), 2, &["rows of 1024 and 512 logits"]);
    std::fs::write(desk.path("cut.npy"), b"\x93NUMPY\x01\x00\x76").expect("written");
    let words = ["cut.npy", "the header is cut off"];
    assert_ends(&desk.judge(&desk.path("cut.npy"), &[]), 2, &words);
    values[7] = f32::NAN;
    let file = desk.write("nan.npy", &shape, &values);
    assert_ends(&desk.judge(&file, &["--atol", "1e9"]), 1, &["not finite"]);
}

#[test]
fn own_tolerances_decide_and_are_named() {
    let desk = Desk::new();
    let (shape, values) = desk.ours();
    let half = Float::F16.encode(&values);
    let mut wide = vec![0.0; values.len()];
    Float::F16.decode(&half, &mut wide);
    let file = desk.write("half.npy", &shape, &wide);
    let ends = |flags: &[&str], code, words: &str| {
        assert_ends(&desk.judge(&file, flags), code, &[words]);
        desk.receipt();
    };
    ends(&[], 0, "nearest tier t2-other-activations");
    ends(
        &["--rtol", "1e-3"],
        0,
        "judged by own tolerance own (rtol 1e-3)",
    );
    ends(&["--atol", "1e-9"], 1, "is beyond atol 1e-9");
    ends(
        &["--kl", "1e-3", "--top1", "1"],
        0,
        "own (KL 1e-3, top-1 1)",
    );
    ends(&["--kl", "1e-12"], 1, "KL above 1e-12");
    let tiers = desk.path("tiers.toml");
    let text = "[[tier]]\nname = \"tight\"\nulp = 1\n[[tier]]\nname = \"loose\"\natol = 0.1\n";
    std::fs::write(&tiers, text).expect("written");
    ends(
        &["--tolerances", &tiers],
        0,
        "own tolerance loose (atol 1e-1)",
    );
    for (text, words) in [
        ("[[tier]]\nname = \"x\"\n", "x demands nothing"),
        ("[[tier]]\nname = \"x\"\nrtoll = 1\n", "rtoll"),
        ("tier = []\n", "there is no tier"),
        ("[[tier]]\nname = \"x\"\nkl = -1.0\n", "negative"),
    ] {
        std::fs::write(&tiers, text).expect("written");
        assert_ends(&desk.judge(&file, &["--tolerances", &tiers]), 2, &[words]);
    }
    assert_ends(
        &desk.judge(&file, &["--profile", "my-own"]),
        2,
        &["ggml-SET"],
    );
}

#[test]
fn every_format_holds_the_same_bits() {
    let desk = Desk::new();
    let (shape, values) = desk.ours();
    let raw = desk.path("ours.f32");
    std::fs::write(&raw, Float::F32.encode(&values)).expect("written");
    let words = "bit-identical 22528/22528 logits";
    assert_ends(
        &desk.judge(&raw, &["--subject-shape", "11,1024"]),
        0,
        &[words],
    );
    assert_ends(
        &desk.judge(&raw, &["--subject-shape", "11,1000"]),
        2,
        &["45056 bytes"],
    );
    assert_ends(&desk.judge(&raw, &[]), 2, &["--subject-shape"]);
    let mut bytes = Vec::new();
    npy_of_half(&mut bytes, &shape, &values);
    std::fs::write(desk.path("half.npy"), bytes).expect("written");
    assert_ends(
        &desk.judge(&desk.path("half.npy"), &["--atol", "1e-2"]),
        0,
        &[],
    );
}

fn npy_of_half(out: &mut Vec<u8>, shape: &[usize], values: &[f32]) {
    harness::io::npy::write_header(out, shape).expect("memory");
    let place = out.windows(3).position(|w| w == b"<f4").expect("the type");
    out[place + 2] = b'2';
    out.extend(Float::F16.encode(values));
}

#[test]
fn the_most_likely_tokens_are_judged_as_what_they_are() {
    let desk = Desk::new();
    let (shape, values) = desk.ours();
    let lines = |shift: usize| {
        let line = |(position, row): (usize, &[f32])| {
            let all = log_softmax(row).expect("finite");
            let mut ids: Vec<usize> = (0..row.len()).collect();
            ids.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
            let top = ids[..5].iter().enumerate();
            let top = top.map(|(i, &id)| format!("[{id},{}]", all[ids[(i + shift) % 5]]));
            let top: Vec<String> = top.collect();
            format!(
                "{{\"position\": {position}, \"top\": [{}]}}\n",
                top.join(",")
            )
        };
        values
            .chunks(shape[1])
            .enumerate()
            .map(line)
            .collect::<String>()
    };
    let file = desk.path("top.jsonl");
    std::fs::write(&file, lines(0)).expect("written");
    assert_ends(
        &desk.judge(&file, &[]),
        0,
        &["lacks", "rows", "positions 33/33"],
    );
    desk.receipt();
    std::fs::write(&file, lines(1)).expect("written");
    assert_ends(&desk.judge(&file, &["--top1", "0.9"]), 1, &["DIVERGE"]);
    std::fs::write(&file, "{\"top\": [[1, 2, 3]]}\n").expect("written");
    assert_ends(&desk.judge(&file, &[]), 2, &["top.jsonl: line 1"]);
}

#[test]
fn ids_may_be_given_and_one_prompt_must_be() {
    let desk = Desk::new();
    let ids = &ids_of_the_prompt(&desk);
    let (model, file) = (model(), desk.path("ours.npy"));
    let words = ["crossval", "--model", &model, "--subject", &file];
    assert_ends(&harness(&words), 2, &["those of one prompt"]);
    let typed = [&words[..], &["--tokens", ids]].concat();
    assert_ends(&harness(&typed), 0, &["bit-identical 22528/22528"]);
    let wrong = ids.replacen(',', ",7,", 1);
    let said = desk.judge(&file, &["--tokens", &wrong]);
    assert_ends(&said, 1, &["token ids differ from index 1 on"]);
    assert_ends(
        &desk.judge(&file, &["--tokens", "a,b"]),
        2,
        &["no token id"],
    );
    let two = ["--subject", &file];
    assert_ends(&desk.judge(&file, &two), 0, &["cases 2/2"]);
}

#[test]
fn a_file_of_llama_perplexity_is_judged_in_its_16_bits() {
    let desk = Desk::new();
    let (shape, values) = desk.ours();
    let ids = ids_of_the_prompt(&desk);
    let tokens: Vec<u32> = ids
        .split(',')
        .map(|id| id.parse().expect("an id"))
        .collect();
    let write = |tokens: &[u32], values: &[f32], off: u16| {
        let head = Head {
            length: 11,
            vocab_size: shape[1],
            tokens: tokens.to_vec(),
        };
        let mut bytes = Vec::new();
        head.write(&mut bytes).expect("memory");
        for _ in 0..head.chunks() {
            for position in kl_base::counted(11) {
                let row = &values[position * shape[1]..][..shape[1]];
                let mut row = CodedRow::of(row).expect("finite");
                row.codes[7] ^= off;
                row.write(&mut bytes).expect("memory");
            }
        }
        std::fs::write(desk.path("base.kld"), bytes).expect("written");
        desk.path("base.kld")
    };
    let equal = "judged: base.kld, 16-bit log-probabilities (unnamed)";
    let said = desk.judge(&write(&tokens, &values, 0), &[]);
    let said = assert_ends(
        &said,
        0,
        &[equal, "first_half", "bit-identical 10240/10240 logits"],
    );
    assert!(!said.contains("NOT JUDGED"), "{said}");
    desk.receipt();
    let said = desk.judge(&write(&tokens, &values, 1), &[]);
    assert_ends(&said, 0, &["judged by nearest tier"]);
    desk.receipt();
    let mut shifted = values.clone();
    shifted.rotate_right(shape[1]);
    assert_ends(
        &desk.judge(&write(&tokens, &shifted, 0), &[]),
        1,
        &["DIVERGE"],
    );
    let mut other = tokens.clone();
    other[4] += 1;
    let words = "token ids differ from index 4 on";
    assert_ends(&desk.judge(&write(&other, &values, 0), &[]), 1, &[words]);
    let twice = [&tokens[..], &tokens].concat();
    let words = "it holds 2 chunks, and one prompt is judged";
    assert_ends(&desk.judge(&write(&twice, &values, 0), &[]), 2, &[words]);
}

#[test]
fn the_node_at_which_a_fault_is_made_is_named() {
    let desk = Desk::new();
    let bytes = std::fs::read(desk.path("n.safetensors")).expect("just written");
    let arrays = harness::io::array::Array::all_of(&bytes, &[Float::F32]).expect("sound");
    let wrong = |key: &str, factor: f32| {
        let shown = arrays.iter().filter(|(name, _)| {
            let order = [
                "inp_embd|GET_ROWS#0",
                "attn_norm-0|MUL#0",
                "Qcur-0|MUL_MAT#0",
            ];
            order.contains(&&name[..])
        });
        let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
        for (name, array) in shown {
            let scale = if name == key { factor } else { 1.0 };
            let values: Vec<f32> = array.values.iter().map(|v| v * scale).collect();
            let begin = data.len();
            data.extend(Float::F32.encode(&values));
            let entry = serde_json::json!({
                "dtype": "F32", "shape": array.shape, "data_offsets": [begin, data.len()],
            });
            header.insert(name.clone(), entry);
        }
        let header = serde_json::to_vec(&header).expect("plain data");
        let length = (header.len() as u64).to_le_bytes();
        let file = desk.path("some.safetensors");
        std::fs::write(&file, [&length[..], &header, &data].concat()).expect("written");
        format!("{},trace={file}", desk.path("ours.npy"))
    };
    let right = desk.judge(&wrong("none", 1.0), &[]);
    assert_ends(&right, 0, &["every_node", "nodes 9/0"]);
    desk.receipt();
    let words = [
        "DIVERGE: node Qcur-0|MUL_MAT#0: NMSE above 1.0e-4",
        "the fault is made at Qcur-0|MUL_MAT#0: NMSE 1.0e-2, in the same direction: another scale",
    ];
    assert_ends(&desk.judge(&wrong("Qcur-0|MUL_MAT#0", 0.9), &[]), 1, &words);
    desk.receipt();
}
