//! `harness tokenize`: text to ids with the vocabulary inside a model.

use crate::exit::{Exit, Failure};

/// Turn text into token ids with a model's own vocabulary
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args) -> Result<Exit, Failure> {
    Err(Failure::input("`harness tokenize` is not written yet"))
}
