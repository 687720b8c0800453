//! `harness compare`: each kind of damage is told from every other, and named with the operations
//! that compute something else because of it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use engine::gguf::writer::Field;
use harness::file::document::{Document, Format};
use harness::numbers::metrics::log_softmax;
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
        assert!(document.widen(&[]).expect("whole rows") > 0);
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

/// A folder with two outputs of the engine, in two orders of sums, and one of them cut short.
fn outputs() -> Folder {
    let folder = Folder::new();
    for (name, profile) in [("a", "ggml-avx512"), ("b", "ggml-avx2")] {
        let [logits, trace] =
            ["npy", "safetensors"].map(|end| folder.path().join(format!("{name}.{end}")));
        Harness::new("eval --prompt Ishmael --profile")
            .arg(profile)
            .arg("--model")
            .arg(fixture(MOBY))
            .arg("--logits")
            .arg(logits)
            .arg("--trace")
            .arg(trace)
            .run()
            .exits(0);
    }
    folder
}

fn two(first: impl Into<std::ffi::OsString>, second: impl Into<std::ffi::OsString>) -> Harness {
    Harness::new("compare").arg(first.into()).arg(second.into())
}

#[test]
fn two_outputs_are_compared_position_by_position_and_node_by_node() {
    let folder = outputs();
    let [a, b] = ["a.npy", "b.npy"].map(|name| folder.path().join(name));
    let same = two(&a, &a).args("--all").run().exits(0);
    assert!(same.stdout.contains("have equal bits"), "{}", same.stdout);
    let other = two(&a, &b).run().exits(0);
    for words in [
        "judged by nearest tier t1-other-order",
        "prefill: first at position 0 at",
        "ulps apart",
        "nmse",
        " dB",
        "KL",
        "prefill: mean KL by how sure the first is: ",
    ] {
        assert!(other.stdout.contains(words), "{words}: {}", other.stdout);
    }
    two(&a, &b).args("--atol 1e-1").run().exits(0);
    two(&a, &b).args("--atol 1e-9").run().exits(1);
    // Each of the tolerances it is said to meet is met, and half of one is not.
    let said = other.stdout.lines();
    let mut line = said.filter_map(|line| line.strip_prefix("smallest tolerances that pass, each"));
    let line = line.next_back().expect("the bits differ");
    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
    assert_eq!(words.len(), 8, "{line}");
    for pair in words.chunks(2) {
        two(&a, &b).args(&pair.join(" ")).run().exits(0);
        if ["--atol", "--kl"].contains(&pair[0]) {
            let half = 0.5 * pair[1].parse::<f64>().expect("a number");
            let flags = format!("{} {half:e}", pair[0]);
            two(&a, &b).args(&flags).run().exits(1);
        }
    }
    // One bit is one bit, and a missing row is less than was promised.
    let mut bytes = std::fs::read(&a).expect("written");
    let last = bytes.len() - 4;
    bytes[last] ^= 1;
    let bit = two(&a, folder.file("bit.npy", &bytes)).run();
    assert!(bit.stdout.contains("1 ulp"), "{}", bit.stdout);
    // One factor that explains all is told.
    let mut scaled = std::fs::read(&a).expect("written");
    let values = scaled.len() % (4 * 1024);
    for bytes in scaled[values..].as_chunks_mut().0 {
        *bytes = (0.75 * f32::from_le_bytes(*bytes)).to_le_bytes();
    }
    let scaled = two(&a, folder.file("scaled.npy", &scaled)).run();
    let words = "prefill: every logit is the first's times 0.750000";
    assert!(scaled.stdout.contains(words), "{}", scaled.stdout);
    // Nodes, the first that differs by name.
    let sides = ["a", "b"].map(|name| {
        let [logits, trace] =
            ["npy", "safetensors"].map(|end| folder.path().join(format!("{name}.{end}")));
        format!("{},trace={}", logits.display(), trace.display())
    });
    let nodes = two(&sides[0], &sides[1]).run();
    assert!(
        nodes.stdout.contains("first node that differs: "),
        "{}",
        nodes.stdout
    );
}

/// The likeliest tokens of each row of a file of logits, with their log-probabilities.
fn likeliest(logits: &[u8], vocab: usize, count: usize) -> String {
    let values = logits[logits.len() % (4 * vocab)..].as_chunks().0;
    let values: Vec<f32> = values
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    let line = |row: &[f32]| {
        let logs = log_softmax(row).expect("finite");
        let mut top: Vec<(usize, f64)> = logs.into_iter().enumerate().collect();
        top.sort_by(|one, other| other.1.total_cmp(&one.1));
        top.truncate(count);
        json!({ "top": top }).to_string() + "\n"
    };
    values.chunks(vocab).map(line).collect()
}

#[test]
fn two_lists_of_the_likeliest_tokens_are_compared() {
    let folder = outputs();
    let logits = std::fs::read(folder.path().join("a.npy")).expect("written");
    let five = folder.file("five.jsonl", likeliest(&logits, 1024, 5).as_bytes());
    let three = folder.file("three.jsonl", likeliest(&logits, 1024, 3).as_bytes());
    let same = two(&five, &five).run().exits(0);
    assert!(same.stdout.contains("have equal bits"), "{}", same.stdout);
    two(&five, &three).args("--kl 1e-6 --top1 1").run().exits(0);
    let whole = folder.path().join("a.npy");
    two(&five, whole).args("--kl 1e-6 --top1 1").run().exits(0);
    // The two likeliest of one position change places.
    let text = std::fs::read_to_string(&five).expect("written");
    let (first, rest) = text.split_once('\n').expect("a line");
    let mut first: Value = serde_json::from_str(first).expect("JSON");
    let top = first["top"].as_array_mut().expect("pairs");
    let (one, other) = (top[0][0].clone(), top[1][0].clone());
    (top[0][0], top[1][0]) = (other, one);
    let swapped = folder.file("swapped.jsonl", format!("{first}\n{rest}").as_bytes());
    let found = two(&five, swapped).args("--top1 1").run().exits(1);
    assert!(found.stdout.contains("OTHER"), "{}", found.stdout);
}

#[test]
fn two_recordings_are_compared_prompt_by_prompt() {
    let shelf = fixture("recordings");
    let [one, other] = ["mar2026-b158-avx512", "mar2026-b158-avx2"].map(|name| shelf.join(name));
    let same = two(&one, &one).run().exits(0);
    assert!(same.stdout.contains("status: ok"), "{}", same.stdout);
    let found = two(&one, &other).run().exits(0);
    assert!(
        found.stdout.contains("Call me Ishmael."),
        "{}",
        found.stdout
    );
    assert!(
        found
            .stdout
            .contains("first node that differs: kq-0|MUL_MAT#0"),
        "{}",
        found.stdout
    );
}

#[test]
fn two_receipts_are_compared_by_what_follows() {
    let folder = Folder::new();
    let run = |name: &str, flags: &str| {
        let receipt = folder.path().join(name);
        let run = Harness::new("crossval --case b158-ishmael").args(flags);
        run.arg("--json").arg(&receipt).run().exits(0);
        receipt
    };
    let [one, again, other] = [
        run("one.json", ""),
        run("again.json", "--threads 2"),
        run("other.json", "--profile ggml-avx2"),
    ];
    let same = two(&one, &again).run();
    assert!(
        same.stdout.contains("threads: 1 is now 2"),
        "{}",
        same.stdout
    );
    let found = two(&one, &other).run().exits(1);
    assert!(
        found.stdout.contains("comparisons[0].tolerance"),
        "{}",
        found.stdout
    );
    assert!(
        found.stdout.contains("environment: the same"),
        "{}",
        found.stdout
    );
}

#[test]
fn two_kinds_are_no_pair_and_what_is_none_is_refused() {
    let folder = outputs();
    let output = folder.path().join("a.npy");
    let kinds = two(&output, fixture(MOBY)).run().exits(2);
    assert!(kinds.stderr.contains("is an output"), "{}", kinds.stderr);
    assert!(kinds.stderr.contains("is a model"), "{}", kinds.stderr);
    for (second, words) in [
        ("nowhere.npy", "there is no nowhere.npy"),
        ("serve: ", "there is no serve: "),
    ] {
        let refused = two(&output, second).run().exits(2);
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    let alone = Harness::new("compare").arg(&output).run().exits(2);
    assert!(alone.stderr.contains("there are 1"), "{}", alone.stderr);
    let flag = two(&output, &output).args("--prompt x").run().exits(2);
    assert!(
        flag.stderr.contains("--prompt means nothing"),
        "{}",
        flag.stderr
    );
}
