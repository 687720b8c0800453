//! `harness generate`: text from a model, streamed.

use crate::exit::{Exit, Failure};

/// Continue a prompt
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args) -> Result<Exit, Failure> {
    Err(Failure::input("`harness generate` is not written yet"))
}
