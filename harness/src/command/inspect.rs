//! `harness inspect`: what is in a model file.

use crate::exit::{Exit, Failure};

/// Show what is in a model file: metadata, tensors, packings with evidence
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args) -> Result<Exit, Failure> {
    Err(Failure::input("`harness inspect` is not written yet"))
}
