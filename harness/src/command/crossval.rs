//! `harness crossval`: the cases under `fixtures/`, judged against what the reference computed.

use crate::exit::{Exit, Failure};

/// Run every case through every runner there is, compare, judge
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args) -> Result<Exit, Failure> {
    Err(Failure::input("`harness crossval` is not written yet"))
}
