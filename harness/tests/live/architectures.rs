//! Architectures that only some references know: the engine beside those that do.

use engine::Model;
use engine::session::{OpenOptions, Session, SessionOptions, Wanted};
use harness::file::document::Document;
use harness::fixture::random::RandomShape;
use harness::numbers::metrics::Distance;
use libtest_mimic::Trial;

use crate::live;
use crate::program::ends::{assert_ends, harness};

/// All of them.
pub fn trials() -> Vec<Trial> {
    vec![live!(
        ["llama", "ik"],
        qwen3_is_computed_as_by_both_references_that_know_it
    )]
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
