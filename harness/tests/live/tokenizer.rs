//! The program with a real C++ reference.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use libtest_mimic::Trial;

use crate::live;
use crate::program::ends::{assert_ends, harness};

/// All of them.
pub fn trials() -> Vec<Trial> {
    vec![
        live!([REFERENCE], the_engine_says_what_the_reference_says),
        live!([REFERENCE], single_questions_are_asked_alone),
        live!([REFERENCE], a_vocabulary_nobody_knows_is_no_agreement),
        live!(["llama"], a_library_that_misreads_the_weights_is_given_none),
        live!(["llama"], no_room_for_its_file_is_no_refusal),
        live!(
            ["bitnet", "llama"],
            a_converted_tokenizer_model_is_read_as_the_references_read_it
        ),
        live!([], without_a_reference_there_is_no_verdict),
    ]
}

const REFERENCE: &str = "bitnet-portable";

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/moby-tiny");
    path.join(name).to_str().expect("plain path").to_owned()
}

fn tokenizer(arguments: &[&str]) -> Output {
    harness(&[&["tokenizer"][..], arguments].concat())
}

fn the_engine_says_what_the_reference_says() {
    let json = std::env::temp_dir().join(format!("tokenizer-{}.json", std::process::id()));
    let model = fixture("moby-tiny-bitnet.gguf");
    let path = json.to_str().expect("plain path");
    let asked = ["--reference", REFERENCE, "--model", &model, "--json", path];
    let output = tokenizer(&[&asked[..], &["--strings", "300"]].concat());
    assert_ends(
        &output,
        0,
        &["1 comparisons", "0 differ; 0 skipped", "no-utf8"],
    );
    let summary = std::fs::read(&json).expect("written");
    let _ = std::fs::remove_file(&json);
    let summary: Value = serde_json::from_slice(&summary).expect("JSON");
    let report = &summary["rows"][0]["compared"];
    assert_eq!(report["vocabulary"]["equal"], 1024);
    assert!(report["answers"]["equal"].as_u64() > Some(1500), "{report}");
    assert_eq!(report["answers"]["different"], 0);
    assert_eq!(summary["references"][0]["name"], REFERENCE);
}

fn a_converted_tokenizer_model_is_read_as_the_references_read_it() {
    let pieces = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/convert/pieces");
    for name in ["tokenizer.model", "tokenizer.json"] {
        let folder = tempfile::tempdir().expect("temporary folder");
        let checkpoint = folder.path().join("checkpoint");
        let made = checkpoint.to_str().expect("plain path");
        let out = folder.path().join("out.gguf");
        let out = out.to_str().expect("plain path");
        let model = fixture("moby-tiny-bitnet.gguf");
        let written = harness(&["fixtures", "checkpoint", "--model", &model, "-o", made]);
        assert_ends(&written, 0, &["tokenizer.json"]);
        std::fs::remove_file(checkpoint.join("tokenizer.json")).expect("written");
        std::fs::copy(pieces.join(name), checkpoint.join(name)).expect("committed");
        let converted = harness(&["convert", made, "-o", out, "--arch", "bitnet"]);
        assert_ends(&converted, 0, &[]);
        let asked = [
            "--reference",
            "bitnet",
            "--reference",
            "llama",
            "--model",
            out,
        ];
        let output = tokenizer(&[&asked[..], &["--strings", "2000"]].concat());
        assert_ends(&output, 0, &["2 comparisons", "0 differ; 0 skipped"]);
    }
}

fn single_questions_are_asked_alone() {
    let model = fixture("moby-tiny-bitnet.gguf");
    let asked = ["--reference", REFERENCE, "--model", &model];
    let questions = ["--text", "it\\x27s\\n\\u{1f40b}", "--ids", "1022,34,392"];
    let output = tokenizer(&[&asked[..], &questions].concat());
    assert_ends(&output, 0, &["in 8 answers, 0 differ"]);
    // Ids beyond the vocabulary: the engine takes them for nothing, the reference refuses.
    let output = tokenizer(&[&asked[..], &["--ids", "5000"]].concat());
    assert_ends(
        &output,
        1,
        &["not in the vocabulary", "--ids '5000'", "4 differ"],
    );
}

fn a_vocabulary_nobody_knows_is_no_agreement() {
    let (known, unknown) = (
        fixture("moby-tiny-bitnet.gguf"),
        fixture("moby-tiny-b158.gguf"),
    );
    let asked = [
        "--reference",
        REFERENCE,
        "--strings",
        "0",
        "--model",
        &unknown,
    ];
    let words = [
        "skipped: ",
        "unknown model architecture",
        "knew no vocabulary",
    ];
    assert_ends(&tokenizer(&asked), 3, &words);
    let output = tokenizer(&[&asked[..], &["--model", &known]].concat());
    assert_ends(&output, 5, &["1 skipped", "0 differ"]);
}

fn a_library_that_misreads_the_weights_is_given_none() {
    let model = fixture("moby-tiny-bitnet.gguf");
    let output = tokenizer(&["--reference", "llama", "--model", &model, "--strings", "50"]);
    assert_ends(&output, 0, &["1 comparisons", "0 differ; 0 skipped"]);
}

fn no_room_for_its_file_is_no_refusal() {
    let model = fixture("moby-tiny-bitnet.gguf");
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.args(["tokenizer", "--reference", "llama", "--model", &model]);
    command.env("TMPDIR", "/there/is/no/such/folder");
    let output = command.output().expect("the program starts");
    assert_ends(&output, 4, &["LOST: /there/is/no/such/folder"]);
}

fn without_a_reference_there_is_no_verdict() {
    assert_ends(&tokenizer(&[]), 3, &["scripts/reference.sh bitnet"]);
    assert_ends(&tokenizer(&["--text", "\\q"]), 2, &["is none of"]);
    assert_ends(&tokenizer(&["--ids", "1,x"]), 2, &["is no id"]);
    assert_ends(
        &tokenizer(&["--reference", "no-such-thing"]),
        2,
        &["known are bitnet"],
    );
}
