//! Standard output and standard error that nobody reads, or that are full.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

use super::model;
use crate::program::{Folder, Harness};

/// Words of a command that prints, and what it exits with when all is well.
fn printing(receipt: &str) -> Vec<(String, i32)> {
    let model = model().display().to_string();
    let with_model = |words: &str| (format!("{words} --model {model}"), 0);
    let mut all: Vec<(String, i32)> = [
        "check",
        "check --json",
        "inspect --tensors",
        "tokenize --text whale",
        "generate -n 4 --prompt whale",
        "generate -n 4 --prompt whale --json",
    ]
    .map(with_model)
    .into();
    for words in [
        "crossval --case b158-ishmael",
        "receipt show",
        "receipt verify",
        "--help",
    ] {
        let file = if words.starts_with("receipt") {
            receipt
        } else {
            ""
        };
        all.push((format!("{words} {file}"), 0));
    }
    for words in [
        "check --list",
        "reference list",
        "fixtures verify",
        "power --list",
        "check --help",
    ] {
        all.push((words.to_owned(), 0));
    }
    all.push(with_model(&format!(
        "eval --tokens 1 --logits {receipt}.npy"
    )));
    all.push((format!("receipt show {receipt} --json"), 0));
    all.push((format!("receipt diff {receipt} {receipt}"), 0));
    all
}

fn receipt(folder: &Folder) -> String {
    let path = folder.path().join("receipt.json").display().to_string();
    Harness::new(&format!("crossval --case b158-ishmael --json {path}"))
        .run()
        .exits(0);
    path
}

#[test]
fn a_reader_that_leaves_ends_the_printing_and_nothing_else() {
    let folder = Folder::new();
    for (words, code) in printing(&receipt(&folder)) {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut harness = Command::new(env!("CARGO_BIN_EXE_harness"));
        let harness = harness.args(words.split_whitespace()).stdout(writer);
        let output = harness.stderr(Stdio::piped()).output().expect("starts");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words}: {told}");
        assert!(
            !told.contains("panicked") && !told.contains("error"),
            "{words}: {told}"
        );
    }
}

#[test]
fn a_full_standard_output_is_an_environment_that_failed() {
    let folder = Folder::new();
    for (words, _) in printing(&receipt(&folder)) {
        let full = OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("Linux");
        let mut harness = Command::new(env!("CARGO_BIN_EXE_harness"));
        let harness = harness.args(words.split_whitespace()).stdout(full);
        let output = harness.stderr(Stdio::piped()).output().expect("starts");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{words}: {told}");
        assert!(told.contains("standard output"), "{words}: {told}");
        assert!(!told.contains("panicked"), "{words}: {told}");
    }
}

#[test]
fn a_full_or_closed_standard_error_changes_no_result() {
    let folder = Folder::new();
    let mut tiny = crate::commands::tiny::Tiny::new();
    tiny.unset("tokenizer.ggml.pre");
    let warned = folder.file("tiny.gguf", &tiny.file()).display().to_string();
    for (words, code) in [
        (format!("generate -n 1 --prompt ab --model {warned}"), 0),
        (format!("tokenize --text ab --model {warned}"), 0),
        ("check --model /nowhere/m.gguf".to_owned(), 4),
    ] {
        let full = OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("Linux");
        let (reader, closed) = std::io::pipe().expect("a pipe");
        drop(reader);
        for stderr in [Stdio::from(full), Stdio::from(closed)] {
            let mut harness = Command::new(env!("CARGO_BIN_EXE_harness"));
            let harness = harness.args(words.split_whitespace()).stdout(Stdio::null());
            let ended = harness.stderr(stderr).status().expect("starts");
            assert_eq!(ended.code(), Some(code), "{words}");
        }
    }
}

#[test]
fn what_is_no_command_for_people_answers_its_own_program_alone() {
    let conversation = r#"{"template":"x","messages":[],"bos":"","eos":""}"#;
    for words in ["render-chat", "worker --place /nowhere"] {
        let answer = Harness::new(words).feed(conversation).exits(2);
        let told = &answer.stderr;
        assert!(told.contains("never by hand"), "{words}: {told}");
        assert_eq!(answer.stdout, "", "{words}");
    }
}

#[test]
fn no_misspelled_word_is_taken_for_a_command_that_is_not_for_people() {
    for word in ["bench", "workers", "render-cat", "render"] {
        let answer = Harness::new(word).run().exits(2);
        let told = &answer.stderr;
        assert!(
            !told.contains("render-chat") && !told.contains("'worker'"),
            "{told}"
        );
    }
    assert!(
        Harness::new("crosval")
            .run()
            .exits(2)
            .stderr
            .contains("'crossval'")
    );
}

/// Names in a receipt are chosen by whoever wrote it.
#[test]
fn no_receipt_can_steer_a_terminal() {
    let folder = Folder::new();
    let whole = receipt(&folder);
    let text = std::fs::read_to_string(&whole).expect("just written");
    let hostile = text.replace("b158-ishmael", "x\\u001b]0;title\\u0007\\u009b2J\\u202ey");
    assert_ne!(hostile, text);
    let hostile = folder.file("hostile.json", hostile.as_bytes());
    for words in ["show", "verify", &format!("diff {whole}")] {
        let answer = Harness::new(&format!("receipt {words}"))
            .arg(&hostile)
            .run();
        let said = answer.stdout + &answer.stderr;
        // The table of `show` has no names of cases.
        let told = said.contains("\\u{1b}]0;title");
        assert!(told || words == "show", "{words}: {said}");
        let obeyed = said
            .chars()
            .find(|c| c.is_control() && !"\n\t".contains(*c));
        assert_eq!(obeyed, None, "{words}: {said:?}");
        assert!(!said.contains('\u{202e}'), "{words}: {said:?}");
    }
}
