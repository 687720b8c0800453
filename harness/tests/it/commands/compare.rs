//! `harness compare`: each kind of damage is told from every other, and named with the operations
//! that compute something else because of it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use engine::gguf::writer::Field;
use harness::file::document::{Document, Format};
use serde_json::{Value, json};

use crate::program::{Answer, Folder, Harness, document, fixture};

const MOBY: &str = "moby-tiny/moby-tiny-b158.gguf";
const TOKENS: &str = "tokenizer.ggml.tokens";
const GATE: &str = "blk.1.ffn_gate.weight";
const UP: &str = "blk.1.ffn_up.weight";

fn damaged(folder: &Folder, damage: impl FnOnce(&mut Document)) -> PathBuf {
    let mut document = document(MOBY);
    damage(&mut document);
    folder.file("damaged.gguf", &document.file())
}

fn compare(second: &PathBuf, flags: &str) -> Answer {
    Harness::new("compare")
        .arg(fixture(MOBY))
        .arg(second)
        .args(flags)
        .run()
}

/// The tensors that differ, and the operations that compute something else on their own.
fn found(answer: &Answer) -> (Vec<Value>, BTreeSet<String>) {
    let report = answer.json();
    let nodes = report["computed"]["nodes"]["nodes"]
        .as_array()
        .expect("nodes");
    let own = nodes.iter().filter(|node| node["acceptable"] == false);
    let named = own.map(|node| node["tensor"].as_str().unwrap_or("none").to_owned());
    let tensors = report["tensors"].as_array().expect("tensors");
    (tensors.clone(), named.collect())
}

type Damage = fn(&mut Document);

/// What is done to the gate of layer 1, and what must be said of it.
const DAMAGES: [(Damage, fn() -> Value); 4] = [
    (
        |d| d.edit(GATE, |grid| grid.multiply(2.0)).expect("a scale"),
        || json!({"change": "scaled", "factor": 2.0}),
    ),
    (
        |d| {
            d.edit(GATE, |grid| grid.negate_rows(|_| true))
                .expect("signs")
        },
        || json!({"change": "negated"}),
    ),
    (
        |d| {
            let order: Vec<usize> = (0..768).map(|row| row ^ 1).collect();
            d.permute_rows(GATE, &order).expect("whole rows");
        },
        || json!({"change": "rows_moved", "rows": 768}),
    ),
    (
        |d| {
            let once = |row, col, digit| {
                if (row, col) == (5, 7) {
                    1.0 - f32::abs(digit)
                } else {
                    digit
                }
            };
            d.edit(GATE, |grid| grid.map(once)).expect("a digit");
        },
        || json!({"change": "changed", "rows": 1, "at": [5, 7]}),
    ),
];

#[test]
fn every_damage_has_its_own_name_and_its_operation_is_found() {
    for (damage, expected) in DAMAGES {
        let folder = Folder::new();
        let answer = compare(&damaged(&folder, damage), "--prompt Ishmael --json").exits(1);
        let (tensors, named) = found(&answer);
        assert_eq!(tensors.len(), 1, "{tensors:?}");
        assert_eq!(tensors[0]["name"], GATE);
        for (field, value) in expected().as_object().expect("fields") {
            assert_eq!(&tensors[0][field], value, "{field} of {}", tensors[0]);
        }
        assert_eq!(named, BTreeSet::from([GATE.to_owned()]));
    }
}

#[test]
fn exchanged_tensors_are_named_with_each_other() {
    let folder = Folder::new();
    let swapped = damaged(&folder, |document| {
        let gate = document.bytes(GATE).expect("there").clone();
        let up = std::mem::replace(document.bytes(UP).expect("there"), gate);
        *document.bytes(GATE).expect("there") = up;
    });
    let (tensors, named) = found(&compare(&swapped, "--prompt Ishmael --json").exits(1));
    let both = [(GATE, UP), (UP, GATE)];
    let expected =
        both.map(|(name, with)| json!({"name": name, "change": "exchanged", "with": with}));
    assert_eq!(
        BTreeSet::from_iter(tensors.iter().map(Value::to_string)),
        BTreeSet::from_iter(expected.iter().map(Value::to_string))
    );
    assert_eq!(named, BTreeSet::from([GATE, UP].map(str::to_owned)));
}

#[test]
fn a_key_counts_if_an_engine_reads_it_and_an_element_of_an_array_is_named() {
    let folder = Folder::new();
    let described = damaged(&folder, |document| document.set("general.name", "another"));
    let answer = compare(&described, "--prompt Ishmael").exits(0);
    assert!(
        answer.stdout.contains("only describes"),
        "{}",
        answer.stdout
    );
    let read = damaged(&folder, |document| {
        document.set("bitnet-b1.58.rope.freq_base", 10_000_f32);
    });
    let report = compare(&read, "--prompt Ishmael --json").exits(1).json();
    assert_eq!(report["keys"][0]["key"], "bitnet-b1.58.rope.freq_base");
    assert_eq!(report["keys"][0]["second"]["value"], 10_000.0);
    let nodes = report["computed"]["nodes"]["nodes"]
        .as_array()
        .expect("nodes");
    let own = nodes
        .iter()
        .find(|node| node["acceptable"] == false)
        .expect("one");
    assert_eq!(
        own["key"], "Qcur-0|ROPE#0",
        "the first operation that reads the base"
    );
    let renamed = damaged(&folder, |document| {
        let Some(Field::Array(kind, mut tokens)) = document.key(TOKENS).cloned() else {
            panic!("a vocabulary");
        };
        tokens[300] = Field::String(b"harpoon".to_vec());
        document.set(TOKENS, Field::Array(kind, tokens));
    });
    let report = compare(&renamed, "--json").exits(1).json();
    assert_eq!(report["keys"][0]["key"], format!("{TOKENS}[300]"));
    assert_eq!(report["keys"][0]["second"]["value"], "harpoon");
}

#[test]
fn the_same_values_in_another_format_are_told_and_compute_the_same() {
    let folder = Folder::new();
    let widened = damaged(&folder, |document| {
        let norm = "output_norm.weight";
        let format = document.tensor(norm).and_then(|tensor| tensor.format);
        assert_eq!(format, Some(Format::F32), "the fixture's norms are plain");
        assert!(document.widen().expect("whole rows") > 0);
    });
    let report = compare(&widened, "--json").exits(0).json();
    let tensors = report["tensors"].as_array().expect("tensors");
    assert_eq!(tensors.len(), 28);
    let rewritten = json!({"change": "rewritten", "first": "i2_s-p128", "second": "f32"});
    for tensor in tensors {
        for (field, value) in rewritten.as_object().expect("fields") {
            assert_eq!(&tensor[field], value, "{tensor}");
        }
    }
    let same = compare(&fixture(MOBY), "--prompt Ishmael").exits(0).stdout;
    assert!(same.contains("tensors: 0 of 46 differ"), "{same}");
    assert!(same.contains("operations: 0 of 118"), "{same}");
}

#[test]
fn what_one_file_lacks_is_named_and_a_file_that_computes_nothing_differs() {
    let folder = Folder::new();
    let lacking = damaged(&folder, |document| document.retain(|name| name != GATE));
    let answer = compare(&lacking, "--prompt Ishmael --json").exits(1);
    let report = answer.json();
    assert_eq!(
        report["tensors"],
        json!([{"name": GATE, "change": "missing"}])
    );
    let why = report["not_computed"].as_str().expect("a reason");
    assert!(why.contains(GATE), "{why}");
    let model = fixture(MOBY);
    let onto = format!("--json {}", model.display());
    assert!(compare(&lacking, &onto).exits(2).stderr.contains("--json"));
}
