//! `harness export`: what is planned is what is written, nothing is destroyed, slips are told.

use engine::Model;
use engine::bytes::ModelBytes;
use engine::encoding::float::Float;
use engine::gguf::{Gguf, Writer};
use engine::session::OpenOptions;
use harness::oracle::importance::measure;
use harness::oracle::perplexity::Chunks;
use safetensors::SafeTensors;
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
    report["speed"] = Value::Null;
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

/// Compared on a text, with more words.
fn evaluated(words: &str) -> Value {
    let folder = Folder::new();
    let text = "Call me Ishmael. The captain looked out over the sea. ".repeat(8);
    let text = folder.file("text.txt", text.as_bytes());
    let words = format!("--json - --context 32 {words}");
    let command = export(&words).arg("-o").arg(folder.path().join("out.gguf"));
    let report = command.arg("--eval").arg(text).run().exits(0).json();
    report["evaluation"].clone()
}

#[test]
fn the_new_file_lies_from_the_old_one_as_far_as_its_format_rounds() {
    let mean_kl = |format: &str| {
        let evaluation = evaluated(&format!("--format {format}"));
        let from = &evaluation["exported"]["from_first"];
        let number = |name: &str| from[name].as_f64().expect("measured");
        assert!(number("tail_kl") >= number("mean_kl"), "{evaluation}");
        assert!(
            evaluation["source"]["from_first"].is_null(),
            "the first is nowhere from itself"
        );
        (
            number("mean_kl"),
            from["same_top1"].as_u64(),
            evaluation["exported"]["positions"].as_u64(),
        )
    };
    // Another packing of the same weights: nothing is lost, not even a bit.
    let (none, same, all) = mean_kl("i2_s-p64");
    assert_eq!((none, same), (0.0, all));
    let (little, much) = (mean_kl("q8_0").0, mean_kl("q3_k").0);
    assert!(0.0 < little && little < much, "{little} {much}");
}

#[test]
fn a_packing_that_its_bytes_do_not_tell_is_told() {
    let folder = Folder::new();
    let warned = |format: &str| {
        let command = export(&format!("--json - --format {format}")).arg("-o");
        let report = command
            .arg(folder.path().join("out.gguf"))
            .run()
            .exits(0)
            .json();
        report["warnings"].as_array().expect("warnings").clone()
    };
    assert_eq!(warned("i2_s-p128"), [""; 0]);
    let warnings = warned("i2_s-p64");
    let said = warnings[0].as_str().expect("a sentence");
    assert!(
        said.contains("i2_s-p128") && said.contains("--flavor i2_s-p64"),
        "{said}"
    );
}

#[test]
fn a_text_needs_a_file_to_be_read_again() {
    for words in [
        "--eval text.txt --dry-run",
        "--context 32",
        "--eval text.txt -o -",
    ] {
        export(&format!("--format q4_0 {words}")).run().exits(2);
    }
}

/// A file of importance for one matrix, the first columns of which matter most.
fn imatrix(name: &str, columns: usize) -> Vec<u8> {
    let sums: Vec<f32> = (0..columns).map(|i| 1e6 / (1 + i * i) as f32).collect();
    let [sums, counts] = [&sums[..], &[4.0]].map(|values| Float::F32.encode(values));
    let writer = Writer::new(3).key("general.type", "imatrix");
    let writer = writer.tensor(&format!("{name}.in_sum2"), &[columns as u64, 1], 0, sums);
    writer
        .tensor(&format!("{name}.counts"), &[1, 1], 0, counts)
        .finish()
}

#[test]
fn importance_moves_the_error_out_of_the_columns_that_matter() {
    const NAME: &str = "blk.0.ffn_up.weight";
    let folder = Folder::new();
    let file = std::fs::read(fixture(MODEL)).expect("committed");
    let gguf = Gguf::parse(ModelBytes::from_vec(file)).expect("sound");
    let columns = gguf.tensors.get(NAME).expect("a tensor").cols() as usize;
    let file = folder.file("importance.gguf", &imatrix(NAME, columns));
    let out = folder.path().join("out.gguf");
    let written = |words: &str| {
        let command = export(&format!("--json - {words}")).arg("-o").arg(&out);
        let report = command.arg("--imatrix").arg(&file).run().exits(0).json();
        let rows = report["tensors"].as_array().expect("tensors").clone();
        let weighed = rows.iter().filter(|row| row["weighed"] == true);
        let names: Vec<_> = weighed.map(|row| row["name"].clone()).collect();
        assert_eq!(names, [NAME], "{words}");
        std::fs::read(&out).expect("written")
    };
    let plain = {
        export("--format q4_k").arg("-o").arg(&out).run().exits(0);
        std::fs::read(&out).expect("written")
    };
    let weighed = written("--format q4_k");
    assert_eq!(plain.len(), weighed.len());
    assert!(plain != weighed, "importance makes no difference");
    for (name, columns, format, said) in [
        (NAME, columns, "q8_0", "no regard"),
        (NAME, columns + 1, "q4_k", "another model"),
        ("blk.9.ffn_up.weight", columns, "q4_k", "not one tensor"),
    ] {
        let file = folder.file("importance.gguf", &imatrix(name, columns));
        let command = export(&format!("--dry-run --format {format}")).arg("--imatrix");
        let refusal = command.arg(file).run().exits(2).stderr;
        assert!(refusal.contains(said), "{format} {said}: {refusal}");
    }
}

const WEIGHED: &str = "The whale swam on, and the men in the boats pulled at their oars. ";

#[test]
fn the_importance_of_a_column_is_the_mean_square_of_its_input() {
    let model = Model::open(&fixture(MODEL), &OpenOptions::default()).expect("a fixture");
    let chunks = Chunks::of_text(&WEIGHED.repeat(4), &model, Some(16), Some(3)).expect("long");
    let importance = measure(&model, chunks.each(), &mut || ()).expect("it computes");
    let folder = Folder::new();
    for (matrix, node) in [
        ("blk.0.attn_k.weight", "attn_norm-0|MUL#0"),
        ("blk.1.attn_output.weight", "attn_sub_norm-1|MUL#0"),
        ("blk.3.ffn_down.weight", "ffn_sub_norm-3|MUL#0"),
        ("token_embd.weight", "result_norm|MUL#0"),
    ] {
        let found = importance.of(matrix).expect("it is multiplied");
        let mut squares = vec![0.0; found.len()];
        for chunk in chunks.each() {
            let ids: Vec<String> = chunk.iter().map(u32::to_string).collect();
            let trace = folder.path().join("trace.safetensors");
            let eval = Harness::new("eval --tokens")
                .arg(ids.join(","))
                .arg("--model");
            let eval = eval
                .arg(fixture(MODEL))
                .arg("--trace")
                .arg(&trace)
                .arg("--logits");
            eval.arg(folder.path().join("logits.npy")).run().exits(0);
            let bytes = std::fs::read(&trace).expect("written");
            let nodes = SafeTensors::deserialize(&bytes).expect("sound");
            let bytes = nodes.tensor(node).expect("traced").data().to_vec();
            let mut values = vec![0.0; bytes.len() / 4];
            Float::F32.decode(&bytes, &mut values);
            for (at, x) in values.iter().enumerate() {
                squares[at % found.len()] += f64::from(*x).powi(2);
            }
        }
        for (found, sum) in found.iter().zip(squares) {
            let expected = sum / 48.0;
            assert!(
                (f64::from(*found) - expected).abs() <= 1e-6 * expected,
                "{matrix}"
            );
        }
    }
}

#[test]
fn what_is_weighed_by_a_text_lies_nearer_on_another() {
    let folder = Folder::new();
    let text = folder.file("weighed.txt", WEIGHED.repeat(16).as_bytes());
    let mean_kl = |words: &str| {
        let evaluation = evaluated(&format!("--format q2_k {words}"));
        let mean = &evaluation["exported"]["from_first"]["mean_kl"];
        mean.as_f64().expect("measured")
    };
    let weighed = mean_kl(&format!("--importance {}", text.display()));
    let plain = mean_kl("");
    assert!(weighed < plain, "{weighed} and {plain}");
}
