//! `harness check`: a compatibility lint for model files.

use crate::exit::{Exit, Failure};

/// Look for the mistakes that real model files have
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args) -> Result<Exit, Failure> {
    Err(Failure::input("`harness check` is not written yet"))
}
