//! `harness eval`: all-position logits as a NumPy file, nodes as safetensors.

use crate::exit::{Exit, Failure};

/// Write the logits at every position of a prompt
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args) -> Result<Exit, Failure> {
    Err(Failure::input("`harness eval` is not written yet"))
}
