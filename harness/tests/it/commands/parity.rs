//! `crossval --model` and `scripts/parity_smoke.sh` on every committed model, and on one with
//! weights that no reference knows.
#![cfg(unix)]
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use engine::Model;
use engine::flavor::{Shape, qk256};
use engine::numerics::Profile;
use engine::session::OpenOptions;

use super::tiny::{I2_S, Tiny};
use crate::program::{Answer, Folder, Harness, fixture};

const MODELS: [&str; 8] = [
    "moby-tiny/moby-tiny-b158.gguf",
    "moby-tiny/moby-tiny-bitnet.gguf",
    "random/random-b158.gguf",
    "random/random-bitnet32-f16.gguf",
    "random/random-llama.gguf",
    "random/random-qk256.gguf",
    "random/random-split32.gguf",
    "edges/edges.gguf",
];

/// The script, with the program that was built for this test.
fn smoke(arguments: &[&Path], folder: &Folder) -> Answer {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new(root.join("scripts/parity_smoke.sh"))
        .args(arguments)
        .env("HARNESS", env!("CARGO_BIN_EXE_harness"))
        .env("REPORTS", folder.path())
        .env_remove("BITNET_CPP_DIR")
        .output();
    Answer::from(output.expect("bash is there"))
}

fn crossval(model: &Path) -> Harness {
    Harness::new("crossval --model").arg(model)
}

/// The smallest model, with every ternary matrix in QK256.
fn quantised_like_nobody() -> Vec<u8> {
    let mut tiny = Tiny::new();
    for tensor in tiny.tensors.iter_mut().filter(|t| t.type_id == I2_S) {
        let [cols, rows] = tensor.dims[..] else {
            panic!("matrices only");
        };
        let (rows, cols) = (rows as usize, cols as usize);
        let codes: Vec<u8> = (0..rows * cols)
            .map(|i| 1 + (i * i / 7 % 2) as u8)
            .collect();
        tensor.bytes = qk256::encode_codes(&codes, Shape { rows, cols });
    }
    tiny.file()
}

#[test]
fn every_committed_model_passes_the_smoke_test_and_its_receipt_is_kept() {
    let folder = Folder::new();
    for model in MODELS {
        let answer = smoke(&[&fixture(model)], &folder).exits(0);
        let alone = answer.stdout.contains("note: nobody recorded this model");
        assert_eq!(
            alone,
            model == "random/random-b158.gguf",
            "{}",
            answer.stdout
        );
        let stem = Path::new(model).file_stem().expect("a name");
        let receipt = folder.path().join(stem).with_extension("json");
        assert!(
            answer
                .stdout
                .contains(&format!("receipt: {}", receipt.display()))
        );
        // Of a model that nobody recorded nothing is here to verify it by.
        let verified = if alone { 5 } else { 0 };
        let verify = Harness::new("receipt verify").arg(&receipt).run();
        verify.exits(verified);
    }
}

#[test]
fn the_receipt_names_the_kernel_that_multiplied_each_format() {
    let folder = Folder::new();
    let model = folder.file("qk256.gguf", &quantised_like_nobody());
    let answer = smoke(&[&model], &folder).exits(0);
    assert!(
        answer.stdout.contains("quant.format is I2S_QK256"),
        "{}",
        answer.stdout
    );
    let receipt = std::fs::read(folder.path().join("qk256.json")).expect("kept");
    let receipt: serde_json::Value = serde_json::from_slice(&receipt).expect("JSON");
    let engine = &receipt["cases"][0]["claims"]["engine"];
    let options = OpenOptions::default();
    let opened = Model::from_bytes(quantised_like_nobody(), &options).expect("a model");
    let kernels = opened.kernels(Profile::default()).into_iter();
    let kernels: BTreeMap<_, _> = kernels.collect();
    assert!(kernels["qk256"].ends_with("-qk256"), "{kernels:?}");
    assert_eq!(engine["multiplied_by"], serde_json::json!(kernels));
}

#[test]
fn the_script_explains_itself_and_fails_where_there_is_no_model() {
    let folder = Folder::new();
    let help = smoke(&[Path::new("--help")], &folder).exits(0);
    assert!(
        help.stdout.contains("parity_smoke.sh MODEL"),
        "{}",
        help.stdout
    );
    smoke(&[], &folder).exits(1);
    let tensors = fixture("qk256/qk256_4x256_seed42.gguf");
    let refused = smoke(&[&tensors], &folder).exits(1);
    assert!(refused.stdout.contains("FAIL"), "{}", refused.stdout);
}

#[test]
fn what_does_not_apply_to_a_model_is_left_out_aloud() {
    let llama = crossval(&fixture("random/random-llama.gguf"))
        .run()
        .exits(0);
    for words in [
        "recorded for other models only",
        "left out: 7 case(s)",
        "3 case(s), 6 compar",
    ] {
        assert!(
            llama.stdout.contains(words),
            "{words:?} is not in:\n{}",
            llama.stdout
        );
    }
}

#[test]
fn a_model_that_nobody_answers_for_does_not_agree_with_anybody() {
    let alone = crossval(&fixture("random/random-b158.gguf")).run().exits(3);
    for words in [
        "the model was made for 256 positions",
        "nothing was compared with a reference",
        "9/9 repetitions bit-identical",
        "next: scripts/reference.sh ik",
        "status: reference_missing",
    ] {
        assert!(
            alone.stdout.contains(words),
            "{words:?} is not in:\n{}",
            alone.stdout
        );
    }
}

#[test]
fn a_typed_prompt_must_be_answered_or_the_next_step_is_told() {
    let model = fixture("moby-tiny/moby-tiny-bitnet.gguf");
    let asked = crossval(&model).arg("--prompt").arg("Hello").run().exits(5);
    for words in [
        "compared with itself only",
        "1/1 repetitions bit-identical",
        "next: scripts/reference.sh bitnet",
        "status: incomplete",
    ] {
        assert!(
            asked.stdout.contains(words),
            "{words:?} is not in:\n{}",
            asked.stdout
        );
    }
    let long = "white whale ".repeat(200);
    let model = fixture("random/random-llama.gguf");
    let refused = crossval(&model).arg("--prompt").arg(long).run().exits(2);
    assert!(
        refused.stderr.contains("256 positions"),
        "{}",
        refused.stderr
    );
}

#[test]
fn warnings_are_printed_once() {
    let folder = Folder::new();
    let mut tiny = Tiny::new();
    tiny.unset("tokenizer.ggml.pre");
    let model = folder.file("no-pre.gguf", &tiny.file());
    let answer = crossval(&model).arg("--prompt").arg("a").run().exits(5);
    let told: Vec<&str> = answer
        .stderr
        .lines()
        .filter(|l| l.starts_with("warning"))
        .collect();
    assert!(!told.is_empty(), "{}", answer.stderr);
    let mut once = told.clone();
    once.dedup();
    assert_eq!(told, once);
    assert!(
        told.iter()
            .filter(|l| l.contains("tokenizer.ggml.pre"))
            .count()
            == 1,
        "{told:?}"
    );
}

/// A receipt of one case, written beside nothing else.
fn receipt(folder: &Folder) -> PathBuf {
    let path = folder.path().join("receipt.json");
    let run = Harness::new("crossval --case b158-white-whale --json").arg(&path);
    run.run().exits(0);
    path
}

#[test]
fn json_goes_to_a_file_or_takes_the_place_of_the_text() {
    let folder = Folder::new();
    let path = receipt(&folder);
    let one = Harness::new("crossval --case b158-white-whale --json -")
        .run()
        .exits(0);
    assert_eq!(one.json()["parity"]["status"], "rust_only");
    // A flag without a value, before the receipt and behind it, prints.
    for arguments in [["--json", "R"], ["R", "--json"]] {
        let fill = |word: &&str| {
            if *word == "R" {
                path.clone()
            } else {
                word.into()
            }
        };
        let words: Vec<PathBuf> = arguments.iter().map(fill).collect();
        for action in ["show", "verify"] {
            let call = Harness::new("receipt")
                .arg(action)
                .arg(&words[0])
                .arg(&words[1]);
            call.run().exits(0).json();
        }
        let diff = Harness::new("receipt diff").arg(&words[0]).arg(&words[1]);
        assert_eq!(diff.arg(&path).run().exits(0).json(), serde_json::json!([]));
    }
    let claims = folder.path().join("claims.json");
    let show = Harness::new("receipt show")
        .arg(&path)
        .arg("--json")
        .arg(&claims);
    show.run().exits(0);
    assert!(claims.is_file());
    Harness::new("receipt show --json").run().exits(2);
}

#[test]
fn no_output_of_crossval_replaces_a_model_or_another_output() {
    let folder = Folder::new();
    let bytes = std::fs::read(fixture(MODELS[4])).expect("a fixture");
    let model = folder.file("m.gguf", &bytes);
    for flag in ["--json", "--junit"] {
        let refused = crossval(&model).arg(flag).arg(&model).run().exits(2);
        assert!(refused.stderr.contains("--model"), "{}", refused.stderr);
        assert_eq!(std::fs::read(&model).expect("there"), bytes);
    }
    let same = folder.path().join("x");
    let both = crossval(&model)
        .arg("--json")
        .arg(&same)
        .arg("--junit")
        .arg(&same);
    both.run().exits(2);
}
