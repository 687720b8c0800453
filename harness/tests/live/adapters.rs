//! `adapters/subject.py` with an engine that needs nothing but Python's standard library, in both
//! ways in: right, wrong at a node, and wrong in how it takes other nodes.

use std::path::Path;
use std::process::Command;

use harness::io::npy;
use libtest_mimic::Trial;

use crate::program::ends::assert_ends;
use crate::program::fixture;

const PROMPT: &str = "Call me Ishmael.";
/// The node that is computed wrongly.
const FAULT: &str = "Qcur-2|MUL_MAT#0";

/// All of them; listed and counted as ignored where there is no Python.
pub fn trials() -> Vec<Trial> {
    let checks: [(&str, fn()); 6] = [
        ("right_both_ways", right_both_ways),
        ("a_fault_is_named_both_ways", a_fault_is_named_both_ways),
        ("the_protocol_is_kept", the_protocol_is_kept),
        (
            "every_operation_is_judged_alone",
            every_operation_is_judged_alone,
        ),
        (
            "what_only_shows_nodes_is_traced",
            what_only_shows_nodes_is_traced,
        ),
        (
            "modules_are_swapped_in_both_runs",
            modules_are_swapped_in_both_runs,
        ),
    ];
    let python = Command::new("python3").arg("--version").output();
    let here = python.is_ok_and(|output| output.status.success());
    let absent = (!here).then_some("python3");
    let trial = |(name, check): (&str, fn())| {
        crate::unless(absent, &[], &format!("adapters::{name}"), check)
    };
    checks.into_iter().map(trial).collect()
}

/// A folder with what the tiny engine repeats, which the built-in engine computed.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Desk(tempfile::tempdir().expect("a temporary folder"));
        let (logits, nodes) = (desk.path("ours.npy"), desk.path("nodes.safetensors"));
        let words = ["--logits", &logits, "--trace", &nodes];
        assert_ends(&desk.run("", &[&["eval"][..], &words].concat()), 0, &[]);
        let (_, values) = npy::read(&std::fs::read(&logits).expect("written")).expect("NumPy");
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        std::fs::write(desk.path("rows.f32"), bytes).expect("written");
        desk
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_string_lossy().into_owned()
    }

    /// The program on the fixture and its prompt, with a fault for the tiny engine.
    fn run(&self, fault: &str, words: &[&str]) -> std::process::Output {
        let adapters = Path::new(env!("CARGO_MANIFEST_DIR")).join("adapters");
        Command::new(env!("CARGO_BIN_EXE_harness"))
            .args(words)
            .arg("--model")
            .arg(fixture("moby-tiny/moby-tiny-b158.gguf"))
            .args(["--prompt", PROMPT])
            .env_remove("BITNET_CPP_DIR")
            .env("PYTHONPATH", adapters)
            .env("TINY_NODES", self.path("nodes.safetensors"))
            .env("TINY_LOGITS", self.path("rows.f32"))
            .env("TINY_FAULT", fault)
            .output()
            .expect("the program starts")
    }
}

/// The two ways in.
fn ways() -> [String; 2] {
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/tiny.py");
    let tiny = format!("python3 {}", tiny.display());
    let files = "--model {model} --tokens {tokens} --logits {logits} --trace {trace}";
    [format!("serve: {tiny}"), format!("cmd: {tiny} {files}")]
}

fn right_both_ways() {
    let desk = Desk::new();
    for subject in &ways() {
        let said = desk.run("", &["crossval", "--subject", subject]);
        assert_ends(
            &said,
            0,
            &["bit-identical 22528/22528 logits", "nodes 354/354"],
        );
    }
}

fn a_fault_is_named_both_ways() {
    let desk = Desk::new();
    for subject in &ways() {
        let said = desk.run(FAULT, &["crossval", "--subject", subject]);
        let words = [
            &format!("the fault is made at {FAULT}")[..],
            "next: harness trace",
        ];
        assert_ends(&said, 1, &words);
    }
}

fn the_protocol_is_kept() {
    let desk = Desk::new();
    let [served, program] = ways();
    let words = ["118 nodes, the first is inp_embd", "what follows inp_embd"];
    assert_ends(&desk.run("", &["subject", "check", &served]), 0, &words);
    let words = ["it does not offer replace", "118 nodes"];
    assert_ends(&desk.run("", &["subject", "check", &program]), 0, &words);
}

fn every_operation_is_judged_alone() {
    let desk = Desk::new();
    let [served, _] = ways();
    let trace = [
        "trace",
        "--recording",
        "mar2026-b158-avx512",
        "--profile",
        "ggml-avx512",
    ];
    let trace = [&trace[..], &["--subject", &served]].concat();
    let words = ["118 with every bit equal", "no operation is blamed"];
    assert_ends(&desk.run("", &trace), 0, &words);
    let named = format!("BLAMED {FAULT} (layer 2, tensor blk.2.attn_q.weight");
    let words = [
        &named[..],
        "on the reference's own inputs it gives",
        "at position 0, column 0 (row 0 of blk.2.attn_q.weight), every value times 1.250000",
        "1 of them on their own",
    ];
    assert_ends(&desk.run(FAULT, &trace), 1, &words);
}

fn what_only_shows_nodes_is_traced() {
    let desk = Desk::new();
    let [_, program] = ways();
    let words = [
        "trace",
        "--recording",
        "mar2026-b158-avx512",
        "--subject",
        &program,
    ];
    let alone = "judged alone 0/118: it does not go on from values";
    assert_ends(&desk.run("", &words), 0, &[alone]);
    let claimed = [&words[..], &["--profile", "ggml-avx512"]].concat();
    for (words, because) in [
        (&words[..], "roundings explain every node before it"),
        (&claimed, "every node before it is equal"),
    ] {
        let named = format!("BLAMED {FAULT}");
        assert_ends(&desk.run(FAULT, words), 1, &[&named, because]);
    }
}

fn modules_are_swapped_in_both_runs() {
    let desk = Desk::new();
    let [served, program] = ways();
    let swapped = |subject: &str, fault: &str, code, words: &[&str]| {
        let words_of = [
            "attribute",
            "--profile",
            "ggml-avx512",
            "--subject",
            subject,
        ];
        assert_ends(&desk.run(fault, &words_of), code, words);
    };
    let runs = [
        "the engine's modules in the reference's run",
        "the reference's modules in the engine's run",
    ];
    swapped(&served, "", 0, &runs);
    swapped(&served, FAULT, 1, &["layer 2 attention"]);
    swapped(&program, FAULT, 1, &[runs[1], "layer 2 attention"]);
}
