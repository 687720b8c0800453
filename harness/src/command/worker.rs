//! `harness worker`: drives one reference for another process of this program, not for people.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use crate::exit::{Exit, Failure};
use crate::reference::isolation::serve;
use crate::reference::worker::Reference;

/// Drive one reference, told what to do through a socket on standard input
#[derive(clap::Args)]
pub struct Args {
    /// The directory of the reference, built
    #[arg(long, value_name = "DIR")]
    place: PathBuf,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    serve(move |channel| Reference::start(&args.place, channel))
}
