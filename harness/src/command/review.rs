//! `harness review`: what diverges in a receipt, and what `harness accept` would write about it.

use std::path::PathBuf;

use crate::command::accept;
use crate::command::flags::Json;
use crate::command::receipt::receipt;
use crate::exit::{Exit, Failure};

/// Show what diverges in a receipt, each with the entry that would make it known
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness review receipt.json

Exit 1 if something diverges. `harness accept` writes the entries.")]
pub struct Args {
    /// The receipt
    receipt: PathBuf,

    #[command(flatten)]
    json: Json,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    args.json
        .beside([("the receipt", args.receipt.as_path())])?;
    accept::review(&receipt(&args.receipt)?, &args.json)
}
