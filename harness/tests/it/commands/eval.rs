//! `harness eval`: the files it writes hold the reference's bits, and appear only when they may.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;

use crate::commands::tiny::Tiny;
use crate::program::{Folder, Harness, fixture};

const MOBY: &str = "moby-tiny/moby-tiny-b158.gguf";
const RECORDING: &str = "recordings/mar2026-b158-avx512";
const ISHMAEL: &str = "1022,34,392,399,316,82,71,76,64,443,13";

fn eval(model: &Path, logits: &Path, flags: &str) -> Harness {
    Harness::new("eval --model")
        .arg(model)
        .arg("--logits")
        .arg(logits)
        .args(flags)
}

fn ishmael(folder: &Folder, name: &str, flags: &str) -> PathBuf {
    let path = folder.path().join(name);
    let harness = eval(&fixture(MOBY), &path, flags);
    harness
        .arg("--prompt")
        .arg("Call me Ishmael.")
        .run()
        .exits(0);
    path
}

/// The values of a NumPy file as they lie in it.
fn values(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).expect("written");
    let (shape, values) = harness::io::npy::read(&bytes).expect("a NumPy file");
    assert_eq!(shape, [11, 1024]);
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

#[test]
fn prefill_and_decode_are_the_recorded_bits() {
    let folder = Folder::new();
    let recorded = std::fs::read(fixture(RECORDING).join("logits.safetensors")).expect("committed");
    let recorded = SafeTensors::deserialize(&recorded).expect("safetensors");
    for (lane, flags) in [("prefill", ""), ("decode", "--ubatch 1")] {
        let expected = recorded.tensor(&format!("case0.{lane}")).expect("recorded");
        let mine = values(&ishmael(&folder, lane, flags));
        assert!(mine == expected.data(), "{lane} differs from the recording");
    }
}

#[test]
fn the_trace_is_the_recorded_one_node_by_node() {
    let folder = Folder::new();
    let path = folder.path().join("trace.safetensors");
    let flags = format!("--trace {}", path.display());
    ishmael(&folder, "logits.npy", &flags);
    let mine = std::fs::read(&path).expect("written");
    let recorded = std::fs::read(fixture(RECORDING).join("trace.safetensors")).expect("committed");
    let mine = SafeTensors::deserialize(&mine).expect("safetensors");
    let recorded = SafeTensors::deserialize(&recorded).expect("safetensors");
    assert_eq!(mine.names().len(), 118);
    assert_eq!(recorded.names().len(), 118);
    for (name, expected) in recorded.tensors() {
        let node = mine.tensor(&name).expect("a node of that name");
        assert_eq!(node.shape(), expected.shape(), "{name}");
        assert!(
            node.data() == expected.data(),
            "{name} differs from the recording"
        );
    }
}

#[test]
fn several_ubatches_have_a_trace_each_and_the_same_logits_file() {
    let folder = Folder::new();
    let path = folder.path().join("trace.safetensors");
    let flags = format!("--ubatch 8 --trace {}", path.display());
    ishmael(&folder, "logits.npy", &flags);
    let bytes = std::fs::read(&path).expect("written");
    let trace = SafeTensors::deserialize(&bytes).expect("safetensors");
    let rows = |key: &str| trace.tensor(key).expect("a node").shape()[0];
    assert_eq!(rows("attn_norm-0|MUL#0@0"), 8);
    assert_eq!(rows("attn_norm-0|MUL#0@8"), 3);
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("a header");
    let about = header.metadata().clone().expect("metadata");
    assert_eq!(about["ubatch"], "8");
    assert_eq!(about["profile"], "ggml-avx512");
    assert_eq!(about["tokens"], ISHMAEL);
}

#[test]
fn ids_threads_kernels_and_context_change_no_bit_and_the_profile_does() {
    let folder = Folder::new();
    let first = std::fs::read(ishmael(&folder, "first.npy", "")).expect("written");
    for flags in ["--threads 3", "--kernel scalar", "--context 512"] {
        let again = std::fs::read(ishmael(&folder, "again.npy", flags)).expect("written");
        assert!(first == again, "{flags} changed the file");
    }
    let path = folder.path().join("ids.npy");
    let answer = eval(&fixture(MOBY), &path, "--json --tokens")
        .arg(ISHMAEL)
        .run()
        .exits(0)
        .json();
    assert!(
        first == std::fs::read(&path).expect("written"),
        "ids differ from their text"
    );
    assert_eq!(answer["positions"], 11);
    assert_eq!(answer["tokens"].as_array().expect("ids").len(), 11);
    let other = ishmael(&folder, "avx2.npy", "--profile ggml-avx2");
    assert!(
        first != std::fs::read(other).expect("written"),
        "two profiles, one result"
    );
}

#[test]
fn what_cannot_be_computed_leaves_no_file() {
    let folder = Folder::new();
    let logits = folder.path().join("logits.npy");
    let model = fixture(MOBY);
    let silent = folder.path().join("silent.gguf");
    let mut tiny = Tiny::new();
    tiny.set("tokenizer.ggml.model", "no_vocab");
    std::fs::write(&silent, tiny.file()).expect("temporary file");
    let too_long = format!("--tokens {}", ["1"; 600].join(","));
    let cases = [
        (&model, "--tokens 7,1024", 2, "TOKEN_OUT_OF_RANGE"),
        (&model, "--tokens 1,2,3 --context 2", 2, "CONTEXT_FULL"),
        (&model, "--tokens 1 --context 513", 2, "CONTEXT_FULL"),
        (&model, &too_long, 2, "CONTEXT_FULL"),
        (&model, "--tokens 1,-2", 2, "invalid value"),
        (&model, "--tokens 1 --prompt a", 2, "cannot be used with"),
        (&model, "", 2, "required"),
        (&model, "--tokens 1 --ubatch 0", 2, "at least 1"),
        (&model, "--tokens 1 --kernel abacus", 2, "scalar"),
        (&model, "--tokens 1 --flavor qk256", 0, ""),
        (
            &model,
            "--tokens 1 --flavor bitnet32-f16",
            2,
            "FLAVOR_UNKNOWN",
        ),
        (
            &model,
            "--tokens 1 --trace /nowhere/trace",
            4,
            "/nowhere/trace",
        ),
        (&silent, "--prompt a", 2, "no vocabulary"),
        (&silent, "--tokens 1", 0, ""),
    ];
    for (model, flags, code, why) in cases {
        let answer = eval(model, &logits, flags).run().exits(code);
        assert!(answer.stderr.contains(why), "{flags}: {}", answer.stderr);
        assert_eq!(logits.exists(), code == 0, "{flags}");
        // Only the model without a vocabulary may be left beside the logits.
        let parts = std::fs::read_dir(folder.path()).expect("listed");
        let hidden = |e: std::io::Result<std::fs::DirEntry>| {
            e.expect("listed")
                .file_name()
                .to_string_lossy()
                .starts_with('.')
        };
        assert_eq!(
            parts.filter_map(|e| hidden(e).then_some(())).count(),
            0,
            "{flags}"
        );
        let _ = std::fs::remove_file(&logits);
    }
}

#[test]
fn a_value_that_is_no_number_is_a_failed_check_that_names_the_node() {
    let folder = Folder::new();
    let mut tiny = Tiny::new();
    tiny.tensor("output_norm.weight").bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    let model = folder.file("nan.gguf", &tiny.file());
    let answer = eval(&model, &folder.path().join("l.npy"), "--tokens 3,4")
        .run()
        .exits(1);
    assert!(
        answer
            .stderr
            .contains("NOT_FINITE: NaN in node result_norm|MUL#0"),
        "{}",
        answer.stderr
    );
}

#[test]
fn a_model_that_changes_meanwhile_gives_no_result() {
    let folder = Folder::new();
    let bytes = std::fs::read(fixture(MOBY)).expect("committed");
    let model = folder.file("moby.gguf", &bytes);
    let logits = folder.path().join("logits.npy");
    let tokens = format!("--ubatch 1 --tokens {}", ["1"; 300].join(","));
    let mut child = eval(&model, &logits, &tokens).spawn();
    let file = std::fs::File::options()
        .write(true)
        .open(&model)
        .expect("there");
    let mut seconds = 1;
    while child.try_wait().expect("a child").is_none() {
        seconds += 1;
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        file.set_modified(time).expect("our own file");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let output = child.wait_with_output().expect("ended");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(stderr.contains("FILE_CHANGED"), "{stderr}");
    assert!(
        !logits.exists(),
        "logits of a model that changed were written"
    );
}

#[test]
fn without_a_file_the_likeliest_tokens_are_shown_and_in_full_every_node() {
    let folder = Folder::new();
    let written = ishmael(&folder, "l.npy", "");
    let (shape, values) =
        harness::io::npy::read(&std::fs::read(written).expect("written")).expect("a NumPy file");
    let shown = |more: &str| {
        let run = Harness::new("eval --tokens")
            .arg(ISHMAEL)
            .arg(fixture(MOBY));
        run.args(more).run().exits(0).stdout
    };
    let short = shown("");
    let rows: Vec<&str> = short.lines().skip(1).collect();
    assert_eq!(
        rows.len(),
        shape[0] + 1,
        "a row for each position, and what was computed"
    );
    for (row, logits) in rows.iter().zip(values.chunks(shape[1])) {
        let most = logits.iter().copied().fold(f32::MIN, f32::max);
        let first = row.find('(').expect("a logit");
        assert!(row[first..].starts_with(&format!("({most:.4})")), "{row}");
    }
    assert!(rows[0].contains("\"<|begin_of_text|>\""), "{short}");
    assert!(rows[1].contains("\"C\""), "{short}");
    let full = shown("-v");
    let positions = short.rfind("11 positions").expect("said");
    assert!(full.starts_with(&short[..positions]), "{full}");
    let nodes = full.lines().filter(|line| line.contains('#')).count();
    assert_eq!(nodes, 118, "{full}");
}
