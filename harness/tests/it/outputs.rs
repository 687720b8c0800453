//! Where outputs go: through devices, pipes, sockets and links, never over an input, and what
//! happens when nobody reads on, the disk is full, or a signal ends the run.
#![cfg(unix)]
#![forbid(unsafe_code)]

mod json;
mod places;
mod signals;
mod streams;

use std::path::Path;

use crate::program::{Harness, fixture};

const MODEL: &str = "moby-tiny/moby-tiny-b158.gguf";

/// A command with everything but the output: its words, and the output's flag.
const OUTPUTS: [(&str, &str); 10] = [
    ("eval --tokens 1,2 --logits", "--logits"),
    ("eval --tokens 1,2 --logits LOGITS --trace", "--trace"),
    ("eval --tokens 1,2 --logits LOGITS --json", "--json"),
    ("check --json", "--json"),
    ("inspect --json", "--json"),
    ("tokenize --text whale --json", "--json"),
    ("generate -n 2 --prompt whale --json", "--json"),
    ("crossval --case b158-ishmael --json", "--json"),
    ("crossval --case b158-ishmael --junit", "--junit"),
    ("crossval --case b158-ishmael --html", "--html"),
];

/// One of [`OUTPUTS`] that writes to `path`, with `model` where the command takes one.
fn writing(words: &str, path: &Path, model: &Path) -> Harness {
    let folder = path.parent().expect("in a folder");
    let logits = folder.join("other-output.npy").display().to_string();
    let harness = Harness::new(&words.replace("LOGITS", &logits)).arg(path);
    if words.starts_with("crossval") {
        return harness;
    }
    harness.arg("--model").arg(model)
}

fn model() -> std::path::PathBuf {
    fixture(MODEL)
}
