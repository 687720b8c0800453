//! `harness inspect`: what it shows, what it lets pass and what not.

use std::path::Path;

use crate::commands::tiny::Tiny;
use crate::program::{Folder, Harness, fixture};

fn inspect(model: &Path, flags: &str) -> Harness {
    Harness::new(&format!("inspect {flags} --model")).arg(model)
}

const GATE: &str = "--ln-stats --gate auto";

#[test]
fn every_fixture_passes_in_strict_mode() {
    let mut seen = 0;
    for folder in ["qk256", "moby-tiny"] {
        for entry in std::fs::read_dir(fixture(folder)).expect("committed") {
            let path = entry.expect("committed").path();
            if path.extension().is_some_and(|e| e == "gguf") {
                inspect(&path, GATE)
                    .env("BITNET_STRICT_MODE", "1")
                    .run()
                    .exits(0);
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 8);
}

#[test]
fn moby_tiny_is_shown_with_evidence_and_norms() {
    let path = fixture("moby-tiny/moby-tiny-b158.gguf");
    let answer = inspect(&path, "--json --tensors --ln-stats")
        .run()
        .exits(0)
        .json();
    assert_eq!(
        answer["model_sha256"],
        "23403433d82bbcc00a8d321ea1113a8c553f99b1d67da053a14872253a15de84"
    );
    assert_eq!(answer["status"], "ok");
    assert_eq!(answer["hyper_parameters"]["rope_freq_base"], 500_000.0);
    assert_eq!(answer["hyper_parameters"]["rms_epsilon"], 1e-5);
    assert_eq!(answer["packings"][0]["flavor"], "i2_s-p128");
    assert_eq!(answer["packings"][0]["tensors"], 28);
    let reason = answer["packings"][0]["reason"]
        .as_str()
        .expect("a sentence");
    assert!(
        reason.contains("P128") && reason.contains("--flavor"),
        "{reason}"
    );
    let tensors = answer["tensors"].as_array().expect("listed");
    assert_eq!(tensors.len(), 46);
    let scaled = tensors.iter().filter(|t| t["scale"].is_number());
    let file = std::fs::read(&path).expect("committed");
    for tensor in scaled.clone() {
        // Four bytes behind as many bytes of codes as a fourth of the elements.
        let number = |value: &serde_json::Value| value.as_u64().expect("a number") as usize;
        let elements: usize = tensor["dims"]
            .as_array()
            .expect("two")
            .iter()
            .map(number)
            .product();
        let start = number(&tensor["offset"]);
        let stored = f32::from_le_bytes(*file[start + elements / 4..].first_chunk().expect("four"));
        assert_eq!(tensor["scale"].as_f64().expect("a number") as f32, stored);
    }
    assert_eq!(scaled.count(), 28, "one for each packed tensor");
    let tokens = answer["metadata"].as_array().expect("keys").iter();
    let tokens = tokens
        .clone()
        .find(|k| k["key"] == "tokenizer.ggml.tokens")
        .expect("there");
    assert_eq!(tokens["shortened_from"], 1024);
    assert_eq!(tokens["value"].as_array().expect("shortened").len(), 8);
    assert_eq!(answer["norms"]["ruleset"], "bitnet-b1.58:i2_s");
    assert_eq!(answer["norms"]["layernorm"]["total"], 17);
    let sub_norms = answer["norms"]["tensors"]
        .as_array()
        .expect("measured")
        .iter();
    let sub_norms = sub_norms.filter(|t| t["name"].as_str().unwrap_or("").contains("sub_norm"));
    assert_eq!(sub_norms.count(), 8);
}

#[test]
fn another_packing_of_equal_size_can_be_asked_for_and_an_impossible_one_cannot() {
    let path = fixture("moby-tiny/moby-tiny-b158.gguf");
    let answer = inspect(&path, "--json --flavor i2_s-p64")
        .run()
        .exits(0)
        .json();
    assert_eq!(answer["packings"][0]["flavor"], "i2_s-p64");
    let answer = inspect(&path, "--strict --flavor bitnet32-f16")
        .run()
        .exits(1);
    assert!(
        answer.stdout.contains("packings that cannot be told"),
        "{}",
        answer.stdout
    );
    inspect(&path, "--flavor q4_0").run().exits(2);
}

#[test]
fn a_failed_gate_is_a_warning_and_in_strict_mode_a_failure() {
    let folder = Folder::new();
    for (name, value) in [
        ("blk.1.ffn_sub_norm.weight", 9.0),
        ("output_norm.weight", f32::NAN),
    ] {
        let mut tiny = Tiny::new();
        let gain = tiny.tensor(name);
        gain.bytes = (0..gain.dims[0])
            .flat_map(|_| f32::to_le_bytes(value))
            .collect();
        let path = folder.file("norms.gguf", &tiny.file());
        let answer = inspect(&path, GATE).run().exits(0);
        let line = answer
            .stdout
            .lines()
            .find(|l| l.contains("SUSPICIOUS"))
            .expect("one");
        assert!(line.contains(name), "{line}");
        let strict = || inspect(&path, GATE).env("BITNET_STRICT_MODE", "on");
        strict().run().exits(1);
        strict().arg("--strict=false").run().exits(0);
        strict().arg("--gate").arg("none").run().exits(2);
        inspect(&path, "--strict").run().exits(0);
        inspect(&path, "--strict --ln-stats --gate none")
            .run()
            .exits(0);
    }
    let sound = folder.file("sound.gguf", &Tiny::new().file());
    inspect(&sound, GATE)
        .env("BITNET_STRICT_MODE", "maybe")
        .run()
        .exits(2);
}

#[test]
fn a_policy_file_replaces_the_rules() {
    let folder = Folder::new();
    let model = folder.file("tiny.gguf", &Tiny::new().file());
    let rules = "version = 1\n[rules.a]\nname = 'narrow'\nln = [\
                 { pattern = 'output_norm', min = 0.9, max = 0.95 }]\n[rules.b]\n";
    let policy = folder.file("policy.toml", rules.as_bytes());
    let gate = |key: &str| {
        let flags = format!("--json --strict --ln-stats --gate policy {key} --policy");
        Harness::new(&format!("inspect {flags}"))
            .arg(&policy)
            .arg("--model")
            .arg(&model)
    };
    let answer = gate("--policy-key a").run().exits(1).json();
    assert_eq!(answer["norms"]["ruleset"], "narrow");
    assert_eq!(answer["norms"]["layernorm"]["suspicious"], 1);
    gate("--policy-key b").run().exits(0);
    let undecided = gate("").run().exits(2);
    assert!(
        undecided.stderr.contains("one of a, b"),
        "{}",
        undecided.stderr
    );
    inspect(&model, "--ln-stats --gate policy").run().exits(2);
}

#[test]
fn text_from_the_file_moves_no_cursor() {
    let folder = Folder::new();
    let mut tiny = Tiny::new();
    tiny.set("general.name", "\u{1b}[2Jgone\u{202e}\u{9b}K");
    tiny.set("tokenizer.ggml.added_tokens", vec!["\u{1b}]0;title\u{7}"]);
    tiny.tensor("blk.0.attn_q.weight").name = "blk.0.\u{202e}attn_q.weight".into();
    let path = folder.file("escapes.gguf", &tiny.file());
    for flags in ["--tensors --ln-stats", "--tensors --ln-stats --json"] {
        let shown = inspect(&path, flags).run().exits(0).stdout;
        let obeyed =
            |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!shown.contains(obeyed), "{shown:?}");
        assert!(shown.contains("gone"), "{shown}");
    }
}

#[test]
fn what_is_no_model_is_bad_input_and_what_is_not_there_is_the_environment() {
    let folder = Folder::new();
    let text = folder.file("notes.gguf", b"these are not the bytes you are looking for");
    let answer = inspect(&text, "").run().exits(2);
    assert!(
        answer.stderr.starts_with("error: BAD_MAGIC"),
        "{}",
        answer.stderr
    );
    inspect(&folder.path().join("missing.gguf"), "")
        .run()
        .exits(4);
    inspect(folder.path(), "").run().exits(2);
    let mut short = Tiny::new().file();
    short.truncate(short.len() - 4096);
    let answer = inspect(&folder.file("short.gguf", &short), "").run();
    assert!(
        answer.code == Some(2) && answer.stderr.contains("DATA_PAST_EOF"),
        "{}",
        answer.stderr
    );
}

#[test]
fn a_policy_that_is_given_is_used_or_refused_and_never_passed_over() {
    let folder = Folder::new();
    let moby = fixture("moby-tiny/moby-tiny-b158.gguf");
    let strict = "version = 1\n[rules.strict]\nln = [ { pattern = 'norm', min = 3.0, max = 4.0 } ]";
    let policy = folder.file("policy.toml", strict.as_bytes());
    let judged = |flags: &str| inspect(&moby, flags).arg("--policy").arg(&policy).run();
    let used = judged("--json --strict --ln-stats").exits(1).json();
    assert_eq!(used["norms"]["ruleset"], "strict");
    for gate in ["none", "auto"] {
        let told = judged(&format!("--ln-stats --gate {gate}")).exits(2).stderr;
        assert!(
            told.contains("--policy") && told.contains("--gate"),
            "{told}"
        );
    }
    let told = judged("").exits(2).stderr;
    assert!(told.contains("--ln-stats"), "{told}");
    let missing = inspect(&moby, "--ln-stats --policy /nowhere/policy.toml");
    let told = missing.run().exits(4).stderr;
    assert!(told.contains("/nowhere/policy.toml"), "{told}");
}

/// More than any memory, all zeros, none of them on the disk.
#[test]
fn what_begins_as_no_model_is_not_read_to_its_end() {
    let folder = Folder::new();
    let path = folder.file("zeros.gguf", b"");
    let file = std::fs::File::options()
        .write(true)
        .open(&path)
        .expect("just made");
    file.set_len(1 << 40).expect("a sparse file");
    for words in [
        "inspect",
        "check",
        "tokenize --text x",
        "generate --prompt x",
    ] {
        let answer = Harness::new(words).args("--model").arg(&path).run();
        let told = answer.exits(2).stderr;
        assert!(told.contains("BAD_MAGIC"), "{words}: {told}");
    }
}
