//! `harness export`: what is planned is what is written, nothing is destroyed, slips are told.

use serde_json::Value;

use crate::program::{Folder, Harness, fixture};

const MODEL: &str = "moby-tiny/moby-tiny-bitnet.gguf";

fn export(words: &str) -> Harness {
    Harness::new("export").arg(fixture(MODEL)).args(words)
}

/// The report without what only writing can know.
fn planned(mut report: Value) -> Value {
    report["dry_run"] = Value::Null;
    report["warnings"] = Value::Null;
    for tensor in report["tensors"].as_array_mut().expect("tensors") {
        let tensor = tensor.as_object_mut().expect("an object");
        ["nmse", "max_error", "cosine"]
            .iter()
            .for_each(|key| drop(tensor.remove(*key)));
    }
    report
}

#[test]
fn a_dry_run_says_the_exact_size_of_every_tensor_and_of_the_file() {
    for format in [
        "q4_0",
        "q5_1",
        "q3_k",
        "q6_k",
        "tq1_0",
        "i2_s-p128",
        "q2_0",
        "f16",
    ] {
        let folder = Folder::new();
        let path = folder.path().join("out.gguf");
        let run = |words: &str| {
            let words = format!("--format {format} --tables --json - {words}");
            export(&words).arg("-o").arg(&path).run().exits(0).json()
        };
        let dry = run("--dry-run");
        assert!(!path.exists(), "{format}: nothing is written");
        let written = run("");
        assert!(planned(dry) == planned(written.clone()), "{format}");
        let size = std::fs::metadata(&path).expect("written").len();
        assert_eq!(written["file_bytes"], size, "{format}");
        let sum = written["tensors"].as_array().expect("tensors").iter();
        let sum: u64 = sum
            .map(|tensor| tensor["bytes"].as_u64().expect("a size"))
            .sum();
        assert_eq!(written["stats"]["exported_bytes"], sum);
    }
}

#[test]
fn ternary_formats_hold_each_other_without_loss_and_four_bits_do_not() {
    let folder = Folder::new();
    let path = folder.path().join("out.gguf");
    let nmse = |format: &str| {
        let words = format!("--format {format} --json -");
        let report = export(&words).arg("-o").arg(&path).run().exits(0).json();
        let rows = report["tensors"].as_array().expect("tensors").clone();
        let ternary = rows.into_iter().filter(|row| row["from"] == "i2_s-p128");
        let losses = ternary.map(|row| row["nmse"].as_f64().expect("measured"));
        losses.fold(0.0, f64::max)
    };
    assert_eq!(nmse("i2_s-p64"), 0.0);
    // An f16 scale a block instead of an f32 one of all: off by 2⁻¹¹ at most.
    let rounding = 2f64.powi(-22);
    assert!(nmse("tq2_0") <= rounding && nmse("tq1_0") <= rounding);
    assert!((1e-3..2e-2).contains(&nmse("q4_0")));
}

#[test]
fn what_cannot_say_the_weights_is_warned_of() {
    let folder = Folder::new();
    let path = folder.path().join("out.gguf");
    let words = "--format tq2_0 --tables";
    let answer = export(words).arg("-o").arg(&path).run().exits(0);
    let table = answer
        .stdout
        .lines()
        .find(|line| line.starts_with("warning: token_embd"));
    assert!(
        table.is_some_and(|line| line.contains("energy")),
        "{}",
        answer.stdout
    );
    let layers = answer
        .stdout
        .lines()
        .filter(|line| line.starts_with("warning: blk"));
    assert_eq!(layers.count(), 0);
}

#[test]
fn no_input_is_destroyed_and_slips_are_told() {
    let folder = Folder::new();
    let bytes = std::fs::read(fixture(MODEL)).expect("committed");
    let model = folder.file("model.gguf", &bytes);
    let onto_itself = Harness::new("export --format q4_0")
        .arg(&model)
        .arg("-o")
        .arg(&model);
    let refusal = onto_itself.run().exits(2).stderr;
    assert!(refusal.contains("is the same file as IN"), "{refusal}");
    assert!(std::fs::read(&model).expect("still there") == bytes);
    for (words, named) in [
        ("--format q9_9", "q4_k"),
        ("--format split32", "q4_k"),
        ("--format q4_0 --only blk.9.*", "blk.9.*"),
        ("--format q4_0 --keep-f32 blk.9.*", "blk.9.*"),
        ("--format q4_0 --as nobody", "bitnet"),
    ] {
        let refusal = export(words).args("--dry-run").run().exits(2).stderr;
        assert!(refusal.contains(named), "{words}: {refusal}");
    }
    let nowhere = export("--format q4_0").run().exits(2).stderr;
    assert!(nowhere.contains("--output"), "{nowhere}");
    let broken = folder.file("broken.gguf", &bytes[..bytes.len() / 2]);
    let out = folder.path().join("out.gguf");
    let answer = Harness::new("export --format q4_0")
        .arg(&broken)
        .arg("-o")
        .arg(&out);
    let refusal = answer.run().exits(2).stderr;
    assert!(refusal.contains("DATA_PAST_EOF"), "{refusal}");
    assert!(!out.exists(), "nothing half written");
}

#[test]
fn the_exported_model_still_speaks_and_standard_output_holds_the_same_file() {
    let folder = Folder::new();
    let path = folder.path().join("out.gguf");
    export("--format q8_0 --tables")
        .arg("-o")
        .arg(&path)
        .run()
        .exits(0);
    let said = Harness::new("generate --prompt Call -n 4 --model")
        .arg(&path)
        .run()
        .exits(0);
    let before = Harness::new("generate --prompt Call -n 4 --model").arg(fixture(MODEL));
    assert_eq!(said.stdout, before.run().exits(0).stdout);
}
