//! Architectures that only some references know: the engine beside those that do.

use std::path::Path;

use engine::Model;
use engine::bytes::ModelBytes;
use engine::gguf::Gguf;
use engine::session::{OpenOptions, Session, SessionOptions, Wanted};
use harness::file::document::Document;
use harness::fixture::random::RandomShape;
use harness::numbers::metrics::Distance;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::live;
use crate::program::ends::{assert_ends, harness};

/// All of them.
pub fn trials() -> Vec<Trial> {
    vec![
        live!(
            ["llama", "ik"],
            qwen3_is_computed_as_by_both_references_that_know_it
        ),
        live!(
            ["bitnet", "llama"],
            stretched_positions_are_converted_and_give_the_references_bits
        ),
    ]
}

const PROMPT: &str = "the thing that they think of";
/// What `t2-other-activations` lets the median of two lanes be apart.
const TOLERATED: f64 = 4.9e-3;

fn qwen3(words: &str) -> Document {
    let rest = "arch=qwen3 layers=2 head_dim=64 kv_heads=2 group=2 inner=320 vocab=259 context=128 \
        weights=f32 embedding=f32 scales=no rope_factors=no rope_base=1000000 epsilon=0.000001 \
        seed=3";
    let shape = RandomShape::from_seed(3, None).changed(&format!("{words} {rest}"));
    shape
        .and_then(|shape| shape.document())
        .expect("a possible shape")
}

/// The heads together are wider than the embedding, or as wide; the head is tied, or its own.
fn qwen3_is_computed_as_by_both_references_that_know_it() {
    for words in [
        "width=192 output=tied biases=no",
        "width=256 output=f32 biases=no",
    ] {
        let path = std::env::temp_dir().join(format!("live-qwen3-{}.gguf", std::process::id()));
        std::fs::write(&path, qwen3(words).file()).expect("a temporary file");
        let model = path.display().to_string();
        let call = ["crossval", "--model", &model, "--prompt", PROMPT];
        let both = ["--reference", "llama", "--reference", "ik"];
        let answer = harness(&[&call[..], &both].concat());
        assert_ends(
            &answer,
            0,
            &["t2-other-activations", "references 2/2", "status: ok"],
        );
        std::fs::remove_file(&path).expect("its own file");
    }
    // The same tolerance sees an engine that leaves the norms of the heads out.
    let mut without = qwen3("width=192 output=tied biases=no");
    let with = logits(&without);
    for layer in 0..2 {
        for part in ["attn_q_norm", "attn_k_norm"] {
            let name = format!("blk.{layer}.{part}.weight");
            without
                .edit(&name, |grid| grid.map(|_, _, _| 1.0))
                .expect("floats");
        }
    }
    let distance = Distance::between(&with, &logits(&without));
    assert!(
        distance.nmse.is_some_and(|nmse| nmse > TOLERATED),
        "{:?}",
        distance.nmse
    );
}

fn logits(document: &Document) -> Vec<f32> {
    let model = Model::from_bytes(document.file(), &OpenOptions::default()).expect("sound");
    let tokens = model
        .tokenizer()
        .expect("its own")
        .encode(PROMPT, true, true);
    let options = SessionOptions {
        context: tokens.len(),
        ubatch: tokens.len(),
        threads: 1,
        profile: Default::default(),
    };
    let mut session = Session::new(&model, options).expect("room");
    session.feed(&tokens, Wanted::All, &mut ()).expect("finite")
}

/// A checkpoint whose configuration stretches positions, converted; its logits in the engine.
fn converted(folder: &Path, scaling: Value) -> (String, Vec<f32>) {
    let path = |name: &str| folder.join(name).to_str().expect("plain path").to_owned();
    let (model, checkpoint, out) = (path("model.gguf"), path("checkpoint"), path("out.gguf"));
    let shape = "layers=2 head_dim=32 width=256 inner=256 rope_factors=no biases=no context=128";
    let random = [
        "fixtures", "random", "--seed", "5", "--arch", "llama", "--shape", shape,
    ];
    assert_ends(&harness(&[&random[..], &["-o", &model]].concat()), 0, &[]);
    let made = harness(&[
        "fixtures",
        "checkpoint",
        "--model",
        &model,
        "-o",
        &checkpoint,
    ]);
    assert_ends(&made, 0, &["config.json"]);
    let config = folder.join("checkpoint/config.json");
    let text = std::fs::read_to_string(&config).expect("written");
    let mut root: Value = serde_json::from_str(&text).expect("JSON");
    root["rope_scaling"] = scaling;
    std::fs::write(&config, root.to_string()).expect("written");
    let floats = ["--type", "f16", "--table", "f16"];
    let convert = harness(&[&["convert", &checkpoint, "-o", &out][..], &floats].concat());
    assert_ends(&convert, 0, &[]);
    let bytes = std::fs::read(&out).expect("written");
    let gguf = Gguf::parse(ModelBytes::from_vec(bytes)).expect("sound");
    let document = Document::read(&gguf).expect("it can be edited");
    std::fs::remove_dir_all(&checkpoint).expect("its own folder");
    (out, logits(&document))
}

fn stretched_positions_are_converted_and_give_the_references_bits() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let llama3 = json!({
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    });
    let yarn = json!({
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64,
    });
    let (_, plain) = converted(folder.path(), Value::Null);
    for scaling in [
        json!({ "rope_type": "linear", "factor": 4.0 }),
        llama3,
        yarn,
    ] {
        let (model, stretched) = converted(folder.path(), scaling.clone());
        let distance = Distance::between(&plain, &stretched);
        assert!(
            distance.nmse.is_some_and(|nmse| nmse > TOLERATED),
            "{scaling}: {distance:?}"
        );
        let crossval = ["crossval", "--model", &model, "--prompt", PROMPT];
        let both = ["--reference", "bitnet", "--reference", "llama"];
        let answer = harness(&[&crossval[..], &both].concat());
        let bits = "live bitnet (crates.io bitnet-cpp-sys 0.0.5): 1 of 1 cases answered, 1 \
                    bit-identical";
        assert_ends(&answer, 0, &[bits, "references 2/2"]);
    }
}
