//! `harness worker`: drives one build for another process of this program, not for people.

use std::path::PathBuf;

use engine::bytes::Storage;
use engine::kernels::Kernel;
use engine::numerics::Profile;

use crate::command::flags;
use crate::exit::{Exit, Failure};
use crate::file::reading::Reading;
use crate::io::process::map_or_read;
use crate::reference::isolation::{Rights, serve};
use crate::reference::worker::Reference;
use crate::runner::subject::Spec;
use crate::runner::subject::worker::Worker;
use crate::runner::worker::{Computing, EngineWorker};

/// Drive one build, told what to do through a socket on standard input
#[derive(clap::Args)]
pub struct Args {
    /// The directory of a reference, built
    #[arg(long, value_name = "DIR", required_unless_present_any = ["engine", "subject"])]
    place: Option<PathBuf>,

    /// An engine that somebody brought
    #[arg(long, value_name = "WHAT", value_parser = str::parse::<Spec>, requires = "scratch")]
    subject: Option<Spec>,

    /// A folder for its files
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,

    /// The engine of this repository
    #[arg(long, conflicts_with = "place")]
    engine: bool,

    /// The engine's inner loops
    #[arg(long, value_name = "NAME", value_parser = flags::kernel)]
    kernel: Option<Kernel>,

    /// The engine's order of float operations
    #[arg(long, value_name = "NAME", value_parser = flags::profile)]
    profile: Option<Profile>,

    #[command(flatten)]
    reading: Reading,

    /// Give the engine a copy of the file instead of the file
    #[arg(long)]
    read: bool,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    if let Some(place) = args.place {
        return serve(Rights::Compute, move |channel| {
            Reference::start(&place, channel)
        });
    }
    if let (Some(spec), Some(scratch)) = (args.subject, args.scratch) {
        return serve(spec.rights(), move |channel| {
            Worker::start(&spec, &scratch, channel)
        });
    }
    let computing = Computing {
        kernel: args.kernel.unwrap_or_else(Kernel::best),
        profile: args.profile.unwrap_or_default(),
        reading: args.reading,
    };
    let storage = if args.read {
        Storage::Read
    } else {
        map_or_read()
    };
    serve(Rights::Compute, move |_| {
        Ok(EngineWorker::start(computing, storage))
    })
}
