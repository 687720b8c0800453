//! Whether a file says what the checkpoint says from which it was made: every weight, every value
//! of a pass in plain floats, and the logits as the file itself runs.
//!
//! Three questions, each of which fails alone. The weights of the file are the checkpoint's, up to
//! what its types cannot hold. Both sets of weights as F32 give the same bits, or the first node
//! that differs is named: a hyper-parameter that is wrong shows here. The file in its own
//! arithmetic is as far from the checkpoint as rounded activations are, and no further.

mod passes;
mod weights;
mod widened;

use std::path::Path;

use engine::Model;
use engine::bytes::Storage;
use serde::Serialize;

use crate::exit::Failure;
use crate::file::reading::Reading;
use crate::judge::outcome::Outcome;

pub use passes::{AsItRuns, FirstNode, InFloats};
pub use weights::{Difference, Weights};
pub use widened::widen;

/// Where the file's own arithmetic rounds activations, logits of all fixtures stay above 0.999.
const LEAST_COSINE: f64 = 0.99;

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Value by value.
    pub weights: Weights,
    /// Both sets of weights as F32, through the same pass.
    pub in_floats: InFloats,
    /// The checkpoint in floats, the file in its own arithmetic.
    pub as_it_runs: AsItRuns,
    /// What it comes to.
    pub outcome: Outcome,
}

/// Compares a file, read as is said, with its checkpoint, given as a file of F32 weights.
pub fn examine(
    checkpoint: &Path,
    file: &Path,
    reading: Reading,
    text: &str,
) -> Result<Report, Failure> {
    let folder = tempfile::tempdir().map_err(Failure::environment)?;
    let floats = folder.path().join("file-f32.gguf");
    let exact = open(checkpoint, Reading::default())?;
    let model = open(file, reading)?;
    let weights = weights::compare(exact.gguf(), model.gguf(), reading.flavor)?;
    widen(model.gguf(), reading.flavor, &floats)?;
    let widened = open(&floats, Reading::default())?;
    let tokens = passes::tokens(&exact, text)?;
    let passes = passes::Passes::of(&exact, &tokens)?;
    let in_floats = passes.in_floats(&widened)?;
    let as_it_runs = passes.as_it_runs(&model)?;
    let apart = as_it_runs
        .least_cosine
        .is_none_or(|cosine| cosine < LEAST_COSINE);
    let lossless = weights.is_lossless();
    let wrong = weights.beyond.is_some() || apart || (lossless && !in_floats.is_same());
    Ok(Report {
        weights,
        in_floats,
        as_it_runs,
        outcome: if wrong {
            Outcome::Divergence
        } else {
            Outcome::Ok
        },
    })
}

fn open(path: &Path, reading: Reading) -> Result<Model, Failure> {
    Ok(Model::open(path, &reading.options(Storage::Map, None))?)
}
