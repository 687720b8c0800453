//! Engines in C, made of the five functions: loaded as a library, and speaking the protocol. Both
//! are the same source, which does one thing wrong if it is told to.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::time::Instant;

use engine::encoding::float::Float;
use harness::judge::outcome::Outcome;

use super::{Desk, PROMPT, model};
use crate::program::ends::assert_ends;

/// The folder with `canned`, which speaks, and `libcanned.so`.
static BUILT: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (flags, name) in [
        (&["-DSUBJECT_SERVE", "-DSUBJECT_NODES"][..], "canned"),
        (&["-DSUBJECT_SERVE"], "canned-without-nodes"),
        (&["-shared", "-fPIC"], "libcanned.so"),
    ] {
        let done = Command::new("cc")
            .args(["-Wall", "-Wextra", "-Werror", "-I"])
            .arg(root.join("adapters"))
            .args(flags)
            .arg(root.join("tests/it/subjects/canned.c"))
            .arg("-o")
            .arg(folder.path().join(name))
            .output()
            .expect("there is a C compiler");
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
    folder
});

fn built(name: &str) -> String {
    let path: PathBuf = BUILT.path().join(name);
    path.to_string_lossy().into_owned()
}

/// The two ways in.
fn ways() -> [String; 2] {
    [
        format!("serve: {}", built("canned")),
        format!("lib:{}", built("libcanned.so")),
    ]
}

/// The program, with a fault for the canned engine.
fn canned(desk: &Desk, fault: &str) -> Command {
    let (_, values) = desk.ours();
    let rows = desk.path("rows.f32");
    std::fs::write(&rows, Float::F32.encode(&values)).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command
        .env_remove("BITNET_CPP_DIR")
        .env_remove("CROSSVAL_GGUF")
        .env("CANNED_LOGITS", rows)
        .env("CANNED_VOCAB", "1024")
        .env("CANNED_FAULT", fault);
    command
}

/// Judges the canned engine with a fault.
fn judge(desk: &Desk, subject: &str, fault: &str, more: &[&str]) -> Output {
    let (model, receipt) = (model(), desk.path("r.json"));
    let mut command = canned(desk, fault);
    command.args([
        "crossval", "--model", &model, "--prompt", PROMPT, "--json", &receipt,
    ]);
    command.args(["--subject", subject]).args(more);
    command.output().expect("the program starts")
}

#[test]
fn a_right_engine_has_equal_bits_both_ways() {
    let desk = Desk::new();
    for (subject, kind) in ways().iter().zip(["protocol", "library"]) {
        let words = [
            "judged: canned 1 (unnamed)",
            "bit-identical 22528/22528 logits",
        ];
        assert_ends(&judge(&desk, subject, "", &[]), 0, &words);
        assert_eq!(desk.receipt().cases[0].claims.validation.compute, kind);
        // It claims an arithmetic by itself, and is held to it.
        assert_ends(
            &judge(&desk, subject, "claim", &[]),
            0,
            &["canned 1 (ggml-avx512)"],
        );
    }
}

#[test]
fn every_planted_fault_is_caught_and_named_both_ways() {
    let desk = Desk::new();
    let exact = ["--profile", "ggml-avx512"];
    for subject in &ways() {
        let ends = |fault: &str, more: &[&str], code, words: &[&str]| {
            assert_ends(&judge(&desk, subject, fault, more), code, words)
        };
        ends(
            "ulp",
            &exact,
            1,
            &["prefill position 3: bits differ", "1 ulp"],
        );
        ends("shift", &[], 1, &["DIVERGE"]);
        ends("short", &[], 2, &["10"]);
        ends("refuse", &[], 2, &["refused"]);
        let words = [
            "crashed while prefill of the prompt, SIGABRT",
            "| canned: the last words",
        ];
        ends("die", &[], 7, &words);
        assert_eq!(desk.receipt().parity.status, Outcome::EngineDied);
        let began = Instant::now();
        ends(
            "hang",
            &["--patience", "1"],
            7,
            &["ran out of time", "no answer within 1s"],
        );
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }
}

#[test]
fn what_speaks_another_language_is_told_so() {
    let desk = Desk::new();
    let hello = r#"{"ok":true,"protocol":9,"name":"x","offers":[]}"#;
    for (line, code, words) in [
        ("echo hello", 2, "it said \"hello\", which is no answer"),
        (
            &format!("echo '{hello}'"),
            2,
            "it speaks version 9 of the protocol",
        ),
        (
            "echo '{\"ok\":true,\"protocol\":1}'",
            2,
            "its hello has no name",
        ),
        ("echo '{\"ok\":false,\"error\":\"no\"}'", 2, "serve: echo"),
        ("echo '{}'", 2, "neither ok nor has it an error"),
        ("true", 2, "it ended well, but before it had answered"),
        ("false", 7, "exit code 1"),
        ("./nowhere", 7, "exit code 127"),
    ] {
        assert_ends(
            &judge(&desk, &format!("serve: {line}"), "", &[]),
            code,
            &[words],
        );
    }
    let words = ["subject_identity"];
    let other = Command::new("cc")
        .args(["-shared", "-fPIC", "-x", "c", "/dev/null", "-o"])
        .arg(desk.path("empty.so"))
        .status();
    assert!(other.expect("there is a C compiler").success());
    assert_ends(
        &judge(&desk, &format!("lib:{}", desk.path("empty.so")), "", &[]),
        2,
        &words,
    );
    assert_ends(
        &judge(&desk, "lib:./nowhere.so", "", &[]),
        2,
        &["nowhere.so"],
    );
}

#[test]
fn the_conformance_test_tells_a_right_engine_from_a_wrong_one() {
    let desk = Desk::new();
    let check = |subject: &str, fault: &str, code, words: &[&str]| {
        let mut command = canned(&desk, fault);
        let output = command
            .args([
                "subject",
                "check",
                subject,
                "--model",
                &model(),
                "--prompt",
                PROMPT,
            ])
            .output()
            .expect("the program starts");
        assert_ends(&output, code, words)
    };
    for subject in &ways() {
        let words = [
            "11 rows of 1024 logits",
            "the same bits, after another prompt",
            "status: ok",
        ];
        check(subject, "", 0, &words);
        check(
            subject,
            "short",
            1,
            &["prefill", "FAILED", "status: divergence"],
        );
        let words = [
            "1 nodes, the first is",
            "what follows result_output|MUL_MAT#0",
        ];
        check(subject, "nodes", 0, &words);
        check(subject, "deaf", 1, &["was negated, and no logit changed"]);
        check(subject, "drift", 1, &["other bits after another prompt"]);
        check(subject, "die", 1, &["SIGABRT", "| canned: the last words"]);
    }
    let without = format!("serve: {}", built("canned-without-nodes"));
    check(&without, "", 0, &["it does not offer nodes", "status: ok"]);
    check(&without, "nodes", 1, &["it offers nodes and shows none"]);
    let program = format!(
        "cmd: {} eval --model {{model}} --tokens {{tokens}} --logits {{logits}} --trace {{trace}}",
        env!("CARGO_BIN_EXE_harness")
    );
    check(&program, "", 0, &["118 nodes"]);
    check(&desk.path("ours.npy"), "", 2, &["files answer nothing"]);
}
