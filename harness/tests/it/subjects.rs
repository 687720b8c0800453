//! Engines that users bring, each way in: equal bits are equal, and every planted fault is caught
//! and named.
#![forbid(unsafe_code)]

mod error_ratio;
mod program;
mod saved;
mod served;
mod server;

use std::path::{Path, PathBuf};
use std::process::Output;

use harness::io::npy;
use harness::receipt::Receipt;
use harness::receipt::verify::verify;
use harness::runner::suite::Suite;

use crate::program::ends::{assert_ends, harness};

pub const PROMPT: &str = "Call me Ishmael.";

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

pub fn model() -> String {
    let model = fixtures().join("moby-tiny/moby-tiny-b158.gguf");
    model.to_string_lossy().into_owned()
}

/// A folder with what the built-in engine computes, gone when it is dropped.
pub struct Desk(tempfile::TempDir);

impl Desk {
    pub fn new() -> Self {
        let desk = Desk(tempfile::tempdir().expect("a temporary folder"));
        let (model, logits, nodes) = (model(), desk.path("ours.npy"), desk.path("n.safetensors"));
        let words = [
            "eval", "--model", &model, "--prompt", PROMPT, "--logits", &logits,
        ];
        assert_ends(
            &harness(&[&words[..], &["--trace", &nodes]].concat()),
            0,
            &[],
        );
        desk
    }

    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_string_lossy().into_owned()
    }

    /// What the built-in engine computes: the shape and the values.
    pub fn ours(&self) -> (Vec<usize>, Vec<f32>) {
        let bytes = std::fs::read(self.path("ours.npy")).expect("just written");
        npy::read(&bytes).expect("a NumPy file")
    }

    /// A NumPy file of these logits.
    pub fn write(&self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let mut bytes = Vec::new();
        npy::write_header(&mut bytes, shape).expect("memory");
        npy::write_values(&mut bytes, values).expect("memory");
        std::fs::write(self.path(name), bytes).expect("written");
        self.path(name)
    }

    /// Judges a subject on the fixture's prompt; the receipt is kept as `r.json`.
    pub fn judge(&self, subject: &str, more: &[&str]) -> Output {
        let (model, receipt) = (model(), self.path("r.json"));
        let words = [
            "crossval", "--model", &model, "--prompt", PROMPT, "--json", &receipt,
        ];
        harness(&[&words[..], &["--subject", subject], more].concat())
    }

    /// The receipt of the last run, which says what follows from its numbers.
    #[track_caller]
    pub fn receipt(&self) -> Receipt {
        let bytes = std::fs::read(self.path("r.json")).expect("it was written");
        let receipt: Receipt = serde_json::from_slice(&bytes).expect("a receipt");
        let suite = Suite::open(&fixtures()).expect("the committed fixtures are sound");
        let refuted = verify(&receipt, Some(&suite)).refuted;
        assert_eq!(refuted, []);
        receipt
    }
}

/// The ids of the prompt, with commas between.
pub fn ids_of_the_prompt(desk: &Desk) -> String {
    assert_ends(&desk.judge(&desk.path("ours.npy"), &[]), 0, &[]);
    let tokens = desk.receipt().cases[0].claims.tokens.clone();
    let words: Vec<String> = tokens.iter().map(|t| t.to_string()).collect();
    words.join(",")
}
