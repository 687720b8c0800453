//! `--json` means the same everywhere, and there is JSON where there is no result.

use std::fs;

use serde_json::Value;

use super::model;
use crate::program::{Folder, Harness};

/// Commands that need nothing but a model, and what goes wrong in each with a damaged one.
const COMMANDS: [&str; 5] = [
    "check",
    "inspect",
    "tokenize --text whale",
    "generate -n 2 --prompt whale",
    "eval --tokens 1,2 --logits LOGITS",
];

fn harness(words: &str, model: &std::path::Path) -> Harness {
    Harness::new(words).arg("--model").arg(model)
}

fn to_file(words: &str, folder: &Folder) -> String {
    let logits = folder.path().join("l.npy").display().to_string();
    words.replace("LOGITS", &logits)
}

#[test]
fn nothing_a_dash_and_a_file_hold_the_same() {
    for words in COMMANDS {
        let folder = Folder::new();
        let (words, path) = (to_file(words, &folder), folder.path().join("result.json"));
        let printed = harness(&words, &model())
            .arg("--json")
            .run()
            .exits(0)
            .stdout;
        let dash = harness(&words, &model())
            .args("--json -")
            .run()
            .exits(0)
            .stdout;
        let to_file = harness(&words, &model()).arg("--json").arg(&path);
        let text = to_file.run().exits(0).stdout;
        let written = fs::read_to_string(&path).expect("written");
        assert_eq!(printed, dash, "{words}");
        assert_eq!(printed, written, "{words}");
        serde_json::from_str::<Value>(&printed).expect("JSON and nothing else");
        let plain = harness(&words, &model()).run().exits(0).stdout;
        assert_eq!(
            text, plain,
            "{words}: the text is printed as without --json"
        );
        assert!(!plain.is_empty(), "{words}");
        assert!(
            !std::path::Path::new("-").exists(),
            "{words}: a file called -"
        );
    }
}

#[test]
fn a_refusal_is_json_with_the_engines_own_words() {
    let bytes = fs::read(model()).expect("committed");
    for words in COMMANDS {
        let folder = Folder::new();
        let half = folder.file("half.gguf", &bytes[..bytes.len() / 2]);
        let (words, path) = (to_file(words, &folder), folder.path().join("result.json"));
        let answer = harness(&words, &half).arg("--json").run().exits(2);
        let error = &answer.json()["error"];
        assert_eq!(error["exit"], 2, "{words}");
        let message = error["message"].as_str().expect("a sentence");
        assert_eq!(answer.stderr, format!("error: {message}\n"), "{words}");
        let refusal = &error["refusal"];
        assert_eq!(refusal["code"], "DATA_PAST_EOF", "{words}: {error}");
        for field in ["field", "expected", "found"] {
            assert!(refusal[field].is_string(), "{words}: {field}");
        }
        let into_file = harness(&words, &half).arg("--json").arg(&path);
        assert_eq!(into_file.run().exits(2).stdout, "", "{words}");
        let written = fs::read_to_string(&path).expect("written");
        assert_eq!(written, answer.stdout, "{words}");
    }
}

#[test]
fn a_failure_that_is_no_refusal_of_the_engine_has_no_code() {
    let tokenize = harness("tokenize --file /nowhere/text --json", &model());
    let error = tokenize.run().exits(4).json()["error"].clone();
    assert_eq!(error["exit"], 4);
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|m| m.contains("/nowhere/text"))
    );
    assert_eq!(error.get("refusal"), None);
}

#[test]
fn a_command_line_that_is_no_good_is_told_as_json_too() {
    let folder = Folder::new();
    let path = folder.path().join("result.json");
    let answer = Harness::new("check --json").run().exits(2);
    let error = &answer.json()["error"];
    assert_eq!(error["exit"], 2);
    let message = error["message"].as_str().expect("a sentence");
    assert_eq!(answer.stderr.trim_end(), format!("error: {message}"));
    assert!(message.contains("--model"), "{message}");
    for flag in ["--json=", "--json "] {
        let words = format!("inspect {flag}{} --no-such-flag", path.display());
        assert_eq!(Harness::new(&words).run().exits(2).stdout, "", "{words}");
        let written = fs::read_to_string(&path).expect("written");
        assert!(written.contains("--no-such-flag"), "{written}");
    }
    let help = Harness::new("check --json --help").run().exits(0).stdout;
    assert!(
        help.contains("Usage") && !help.contains("\"error\""),
        "{help}"
    );
}

#[test]
fn a_command_line_that_is_no_good_destroys_nothing_it_names() {
    let folder = Folder::new();
    let model = folder.file("m.gguf", b"a model");
    let own = model.display();
    for words in [
        format!("inspect --no-such-flag --model {own} --json {own}"),
        format!("inspect --model={own} --json={own} --no-such-flag"),
        format!("receipt show --no-such-flag --json {own}"),
        format!("crossval --no-such-flag --json {own}"),
    ] {
        let harness = Harness::new(&words).env("CROSSVAL_GGUF", &own.to_string());
        harness.run().exits(2);
        assert_eq!(fs::read(&model).expect("there"), b"a model", "{words}");
    }
}

#[test]
fn lists_and_references_have_json_too() {
    let lints = Harness::new("check --list --json -").run().exits(0).json();
    assert!(lints.as_array().is_some_and(|lints| lints.len() > 20));
    let list = Harness::new("reference list --json").run().exits(0).json();
    let names: Vec<&Value> = list
        .as_array()
        .expect("rows")
        .iter()
        .map(|r| &r["name"])
        .collect();
    assert!(names.contains(&&Value::from("bitnet")), "{names:?}");
    let unknown = Harness::new("reference info nowhere --json");
    let answer = unknown.run();
    assert_ne!(answer.code, Some(0));
    assert!(answer.json()["error"]["message"].is_string());
}
