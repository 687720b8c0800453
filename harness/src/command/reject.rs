//! `harness reject`: pending recordings that are not to be taken in, removed.

use crate::command::flags::Json;
use crate::command::pending::{self, Waiting};
use crate::exit::{Exit, Failure};

/// Remove pending recordings, and leave what is committed as it is
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness reject
  harness reject --recording 'bitnet-*' # exits 2: none of that name waits

Removes what `harness review` shows, and nothing else.")]
pub struct Args {
    #[command(flatten)]
    waiting: Waiting,

    #[command(flatten)]
    json: Json,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    pending::reject(&args.waiting, &args.json)
}
