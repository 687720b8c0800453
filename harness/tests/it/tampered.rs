//! Files that were tampered with, given to the real program: each ends with its own exit code.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::{Command, Output};

use engine::kernels::Kernel;
use harness::oracle::crossval::campaign::Campaign;
use harness::runner::engine::Engine;
use harness::runner::suite::Suite;
use serde_json::{Value, json};

use crate::program::ends::{self, harness};
use crate::program::one_case::{OneCase, RECORDING};

impl OneCase {
    fn crossval(&self, more: &[&str]) -> Output {
        let folder = self.path().to_str().expect("plain path");
        harness(&[&["crossval", "--fixtures", folder], more].concat())
    }

    /// A receipt in which the engine agrees, written beside the fixtures.
    fn receipt(&self) -> PathBuf {
        let suite = Suite::open(self.path()).expect("untouched so far");
        let subject = Engine::new(Kernel::best(), 1);
        let case = suite.cases[0].clone();
        let model = self.path().join(&case.model);
        let campaign = Campaign::new(suite, vec![Box::new(subject)], 1);
        let receipt = campaign.run(&[(case, model)], |_| Ok(())).expect("runs");
        let path = self.path().join("receipt.json");
        std::fs::write(&path, receipt.to_json()).expect("temporary file");
        path
    }

    fn verify(&self) -> Output {
        let folder = self.path().to_str().expect("plain path");
        let receipt = self.path().join("receipt.json");
        let receipt = receipt.to_str().expect("plain path");
        harness(&["receipt", "verify", receipt, "--fixtures", folder])
    }
}

#[track_caller]
fn assert_ends(output: &Output, code: i32, words: &str) {
    ends::assert_ends(output, code, &[words]);
}

#[test]
fn a_truncated_recording_is_refused() {
    let fixtures = OneCase::new();
    fixtures.recording("logits.safetensors", |bytes| {
        bytes.truncate(bytes.len() - 4)
    });
    assert_ends(&fixtures.crossval(&[]), 2, "its hash is not the one");
    fixtures.rehash();
    assert_ends(&fixtures.crossval(&[]), 2, "logits.safetensors: ");
}

#[test]
fn an_edited_recording_is_refused() {
    let fixtures = OneCase::new();
    fixtures.recording("trace.safetensors", |bytes| {
        *bytes.last_mut().expect("long") ^= 1
    });
    assert_ends(&fixtures.crossval(&[]), 2, "its hash is not the one");
    let fixtures = OneCase::new();
    let edit = |bytes: &mut Vec<u8>| {
        let text = String::from_utf8(bytes.clone()).expect("json is text");
        *bytes = text.replacen("316", "317", 1).into_bytes();
    };
    fixtures.recording("recording.json", edit);
    assert_ends(
        &fixtures.crossval(&[]),
        2,
        "it is not the file checksums.txt lists",
    );
    fixtures.edit("recordings/checksums.txt", Vec::clear);
    assert_ends(&fixtures.crossval(&[]), 2, "checksums.txt does not list it");
}

#[test]
fn a_recording_that_contradicts_itself_is_refused_even_when_every_hash_fits() {
    type Edit = fn(&mut Value);
    let contradictions: [(&str, Edit); 14] = [
        ("schema 9", |v| v["schema"] = 9.into()),
        ("it is named", |v| v["name"] = "other".into()),
        ("token 1024 in a vocabulary", |v| {
            v["cases"][0]["tokens"][0] = 1024.into()
        }),
        ("positions must ascend", |v| {
            v["cases"][0]["positions"][10] = 11.into()
        }),
        ("a prompt occurs twice", |v| {
            v["cases"][1]["prompt"] = v["cases"][0]["prompt"].clone()
        }),
        ("there is no array", |v| {
            v["cases"][2]["decode"] = "case9".into()
        }),
        ("is claimed twice", |v| {
            v["cases"][2]["decode"] = v["cases"][2]["prefill"].clone()
        }),
        ("has shape", |v| v["vocab_size"] = 2048.into()),
        ("is listed but not there", |v| {
            v["cases"][0]["trace_order"][0] = "x|Y#0".into()
        }),
        ("a node is listed twice", |v| {
            v["cases"][0]["trace_order"][1] = v["cases"][0]["trace_order"][0].clone()
        }),
        ("more than one prompt has a trace", |v| {
            v["cases"][1]["trace_order"] = json!(["x|Y#0"])
        }),
        ("token 4294967295 in a vocabulary", |v| {
            v["cases"][0]["greedy"][0] = u32::MAX.into()
        }),
        ("integer `-1`, expected usize", |v| {
            v["cases"][0]["positions"][0] = json!(-1)
        }),
        ("unknown field", |v| v["cases"][0]["note"] = "?".into()),
    ];
    for (words, edit) in contradictions {
        let fixtures = OneCase::new();
        fixtures.recording("recording.json", |json| {
            let mut value: Value = serde_json::from_slice(json).expect("json");
            edit(&mut value);
            *json = value.to_string().into_bytes();
        });
        fixtures.rehash();
        assert_ends(&fixtures.crossval(&[]), 2, words);
    }
}

#[test]
fn a_case_and_its_recording_must_speak_of_the_same() {
    let edits = [
        (r#""tokens":11"#, r#""tokens":12"#, "the case has 12"),
        (
            "moby-tiny-b158.gguf",
            "moby-tiny-bitnet.gguf",
            "where the case has",
        ),
        (
            "Call me Ishmael.",
            "Call me Ahab.",
            "the prompt was not recorded",
        ),
        (RECORDING, "nobody", "is not asked for by any case"),
    ];
    for (from, to, words) in edits {
        let fixtures = OneCase::new();
        fixtures.edit("cases.json", |bytes| {
            let text = String::from_utf8(bytes.clone()).expect("json is text");
            assert!(text.contains(from), "{from} is not in {text}");
            *bytes = text.replacen(from, to, 1).into_bytes();
        });
        assert_ends(&fixtures.crossval(&[]), 2, words);
    }
}

#[test]
fn usage_errors_name_what_there_is() {
    let fixtures = OneCase::new();
    let output = fixtures.crossval(&["--case", "nope"]);
    assert_ends(
        &output,
        2,
        "there is no case \"nope\"; the cases are b158-ishmael",
    );
    assert_ends(&fixtures.crossval(&["--kernel", "nope"]), 2, "scalar");
    assert_ends(
        &fixtures.crossval(&["--prompt", "x"]),
        2,
        "--prompt needs --model",
    );
    assert_ends(&fixtures.crossval(&["--threads", "0"]), 2, "--threads");
    assert_ends(
        &harness(&["crossval", "--fixtures", "/nonexistent"]),
        4,
        "cases.json",
    );
}

#[test]
fn a_live_reference_that_is_asked_for_and_absent_ends_with_its_own_code() {
    let output = Command::new(env!("CARGO_BIN_EXE_harness"))
        .arg("crossval")
        .env("BITNET_CPP_DIR", "/somewhere")
        .output()
        .expect("the program starts");
    assert_ends(&output, 3, "neither a directory nor a known reference");
}

#[test]
fn an_untouched_receipt_is_verified_and_shown() {
    let fixtures = OneCase::new();
    let path = fixtures.receipt();
    assert_ends(&fixtures.verify(), 0, "0 refuted, 0 could not be checked");
    let path = path.to_str().expect("plain path");
    assert_ends(&harness(&["receipt", "show", path]), 0, "rust-only");
    assert_ends(
        &harness(&["receipt", "show", "--json", path]),
        0,
        "\"case\": \"b158-ishmael\"",
    );
    assert_ends(&harness(&["receipt", "diff", path, path]), 0, "the same");
}

#[test]
fn an_edited_receipt_is_refuted_even_when_its_seal_is_made_again() {
    let comparison = "/cases/0/claims/comparisons/0";
    let position = "/cases/0/measured/0/findings/lanes/0/positions/2";
    let edits = [
        ("/parity/status".to_owned(), json!("ok")),
        ("/parity/cpp_available".to_owned(), json!(true)),
        ("/parity/cosine_similarity".to_owned(), json!(0.5)),
        (format!("{comparison}/verdict"), json!("not_judged")),
        (format!("{comparison}/tolerance"), json!("t3-other-weights")),
        (format!("{comparison}/coverage/nodes/declared"), json!(0)),
        (format!("{comparison}/reference/fingerprint"), json!("0")),
        (format!("{position}/distance/bit_equal"), json!(1000)),
        (format!("{position}/distance/nmse"), json!(0.5)),
        (format!("{position}/top1_equal"), json!(false)),
        ("/cases/0/claims/tokens/3".to_owned(), json!(7)),
        ("/cases/0/claims/greedy/3".to_owned(), json!(7)),
        ("/cases/0/claims/model/sha256".to_owned(), json!("00")),
        ("/cases/0/claims/status".to_owned(), json!("ok")),
        ("/coverage/cases/declared".to_owned(), json!(2)),
        ("/quant/flavor".to_owned(), json!("other")),
        ("/tokenizer/kind".to_owned(), json!("llama")),
        ("/parity/correlation".to_owned(), json!(0.5)),
        ("/parity/max_diff".to_owned(), json!(0.5)),
        ("/timestamp".to_owned(), json!("2026-01-01T00:00:00Z")),
        (
            "/cases/0/claims/quant/row_stride_bytes".to_owned(),
            json!(128),
        ),
        (
            "/cases/0/claims/tokenizer/eos_token_id".to_owned(),
            json!(7),
        ),
    ];
    for (pointer, value) in edits {
        let fixtures = OneCase::new();
        let path = fixtures.receipt();
        let text = std::fs::read(&path).expect("written");
        let mut edited: Value = serde_json::from_slice(&text).expect("json");
        *edited.pointer_mut(&pointer).expect(&pointer) = value;
        std::fs::write(&path, edited.to_string()).expect("temporary file");
        assert_ends(&fixtures.verify(), 1, "REFUTED    the seal");

        let mut forged: harness::receipt::Receipt =
            serde_json::from_value(edited).expect("still a receipt");
        forged.seal = forged.computed_seal();
        std::fs::write(&path, forged.to_json()).expect("temporary file");
        let output = fixtures.verify();
        assert_eq!(output.status.code(), Some(1), "{pointer} went unnoticed");
    }
}

#[test]
fn what_a_model_is_made_of_is_looked_up_in_the_model() {
    let fixtures = OneCase::new();
    let path = fixtures.receipt();
    let text = std::fs::read(&path).expect("written");
    let mut forged: harness::receipt::Receipt = serde_json::from_slice(&text).expect("a receipt");
    forged.quant.row_stride_bytes = Some(512);
    forged.cases[0].claims.quant = forged.quant.clone();
    forged.seal = forged.computed_seal();
    std::fs::write(&path, forged.to_json()).expect("temporary file");
    let refuted = "REFUTED    case b158-ishmael: what the model is made of";
    assert_ends(&fixtures.verify(), 1, refuted);
}

#[test]
fn what_is_no_receipt_is_bad_input_and_two_receipts_are_compared_by_field() {
    let fixtures = OneCase::new();
    let path = fixtures.receipt();
    let text = std::fs::read_to_string(&path).expect("written");
    let other = fixtures.path().join("other.json");
    let renamed = text.replace("\"name\": \"engine ", "\"name\": \"gears ");
    std::fs::write(&other, renamed).expect("temporary file");
    let [left, right] = [&path, &other].map(|p| p.to_str().expect("plain path"));
    let output = harness(&["receipt", "diff", left, right]);
    assert_ends(&output, 1, "b158-ishmael.engine.identity.name: \"engine ");
    std::fs::write(&path, &text[..text.len() / 2]).expect("temporary file");
    assert_ends(&fixtures.verify(), 2, "it is no receipt");
    std::fs::write(&path, text.replacen(": 2,", ": 1,", 1)).expect("temporary file");
    assert_ends(&fixtures.verify(), 2, "schema_version is 1");
    assert_ends(
        &harness(&["receipt", "show", "/nonexistent"]),
        4,
        "nonexistent",
    );
}
