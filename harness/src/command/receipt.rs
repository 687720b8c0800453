//! `harness receipt`: receipts shown, recomputed, compared.

use crate::exit::{Exit, Failure};

/// Show, verify or compare receipts
#[derive(clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args) -> Result<Exit, Failure> {
    Err(Failure::input("`harness receipt` is not written yet"))
}
