//! `harness fixtures`: the committed inputs, verified or made again.

use crate::exit::{Exit, Failure};

/// Verify or regenerate the committed fixtures
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args) -> Result<Exit, Failure> {
    Err(Failure::input("`harness fixtures` is not written yet"))
}
