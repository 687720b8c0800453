//! `harness review`: what waits for a person, or diverges in a receipt, and what `harness accept`
//! would write about it.

use std::path::PathBuf;

use crate::command::accept;
use crate::command::flags::Json;
use crate::command::pending::{self, Waiting};
use crate::command::receipt::receipt;
use crate::exit::{Exit, Failure};

/// Show recordings that wait for a person or, of a receipt, what diverges and could be known
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness review
  harness review receipt.json

Without a receipt: the recordings that `harness crossval --reference NAME --record` has left because
the reference answers otherwise than it once did, or because a case is on record nowhere. Shown are
who made either, how many values differ and where first, with the operation where nodes were traced.
With a receipt: every divergence, each with the entry of known_divergences.toml that would excuse
it.

Exit 1 if there is something to decide. `harness accept` takes it in, `harness reject` removes a
pending recording.")]
pub struct Args {
    /// The receipt
    #[arg(conflicts_with_all = ["recording", "fixtures"])]
    receipt: Option<PathBuf>,

    #[command(flatten)]
    waiting: Waiting,

    #[command(flatten)]
    json: Json,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let Some(path) = &args.receipt else {
        return pending::review(&args.waiting, &args.json);
    };
    args.json.beside([("the receipt", path.as_path())])?;
    accept::review(&receipt(path)?, &args.json)
}
