//! `harness weights`: every tensor of a model, decoded and multiplied as the C++ does it; without a
//! reference, everything that is on record of weights.

mod functions;

use std::path::{Path, PathBuf};

use engine::kernels::Kernel;

use functions::Functions;

use super::finish::finish;
use super::last_failed::{LastFailed, LastRun};
use super::listed::Listed;
use crate::command::flags;
use crate::exit::{Exit, Failure};
use crate::fixture;
use crate::io::destination::{Destination, FileRoles};
use crate::io::{output, threads};
use crate::oracle::weights::record::{FILE, Record};
use crate::oracle::weights::subject::{self, no_reference};
use crate::oracle::weights::{Report, table};
use crate::reference::isolation::Limits;
use crate::reference::{self, Reference};
use crate::runner::suite::Suite;

const HELP: &str = "\
Examples:
  harness weights
  harness weights --reference bitnet --model model.gguf --json weights.json
  harness weights --reference bitnet --reference bitnet-portable --record fixtures/weights.json

Without a reference, hashes of what libraries once said are compared: those of the fixtures are
committed. Ternary weights are then packed in every other packing that holds their rows, too, and
each must decode and multiply to the same. Where no model is named, what is on record of single
functions is compared as well: kernels.json has what libraries answered (`harness kernels`), with
every set of instructions this machine has, and layouts.json what a second reading of each layout
says, which no library reads: of any stored bytes what they mean, of any values their bytes.
Equality is of every bit of every value. What a library has no function for it declines: that is
listed and counted, and no agreement if the record says that it once answered. Exit 1 where a value
differs, 3 where there is neither a reference nor a record, 5 where less was compared than
declared.";

/// Compare every tensor's values, and every matrix's product, with the C++
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    model: flags::Models,

    /// A C++ reference, by name or directory; may be given several times [default: BITNET_CPP_DIR]
    #[arg(long, value_name = "NAME|DIR")]
    reference: Vec<String>,

    /// Write down here what the references say, for runs without one
    #[arg(long, value_name = "FILE")]
    record: Option<Destination>,

    /// Inner loops to use instead of the fastest this CPU has; none changes a result
    #[arg(long, value_name = "NAME", value_parser = flags::kernel)]
    kernel: Option<Kernel>,

    /// Fixtures folder [default: fixtures/ here or above, else built in]
    #[arg(long, value_name = "DIR")]
    fixtures: Option<PathBuf>,

    #[command(flatten)]
    last_failed: LastFailed,

    #[command(flatten)]
    listed: Listed,

    #[command(flatten)]
    jobs: flags::Jobs,

    #[command(flatten)]
    json: flags::Json,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let folder = args.fixtures.clone().map_or_else(Suite::find, Ok)?;
    let mut models = args.model.typed();
    if models.is_empty() {
        models = models_below(&folder)?;
        models.extend(Functions::on_record(&folder));
    }
    let mut last = LastRun::of("weights", &folder, &[]);
    let name = |path: &PathBuf| subject::name(path, &folder);
    models = args.last_failed.of(&last, models, name)?;
    if let Some(listed) = args.listed.names(models.iter().map(name), &args.json) {
        return listed;
    }
    let roles = FileRoles::default();
    let read = models
        .iter()
        .fold(roles, |r, path| r.reads("--model", path));
    let outputs = read.writes("--record", args.record.as_ref())?;
    outputs.writes("--json", args.json.to.as_ref())?;
    // One process answers for every tensor of a model.
    let open = || reference::open(&args.reference, Limits::with_cpu_seconds(3600));
    let references = open()?;
    if references.is_empty() && args.record.is_some() {
        return Err(no_reference("--record writes what a reference says".into()));
    }
    if !references.is_empty() {
        // `kernels` asks a reference for those.
        models.retain(|path| Functions::of(path, &folder).is_none());
    }
    let known = folder.join(FILE).exists();
    let recorded = known.then(|| Record::read(&folder)).transpose()?;
    let recorded = recorded.as_ref().map(|(_, record)| record);
    let kernel = args.kernel.unwrap_or_else(Kernel::best);
    let work = |references: &mut Vec<Reference>, at: usize| {
        let mut said = Record::default();
        let about = (models[at].as_path(), folder.as_path());
        let compared = match Functions::of(about.0, about.1) {
            Some(functions) => functions.compare(about.1, args.kernel),
            None => subject::compare(about, kernel, references, recorded, &mut said),
        };
        (compared, said)
    };
    let (mut all, mut new) = (Vec::new(), Record::default());
    let jobs = args.jobs.of(references.is_empty());
    threads::in_order(
        jobs,
        models.len(),
        references,
        open,
        work,
        |(compared, said)| {
            all.extend(compared);
            new.take(said);
            Ok::<bool, Failure>(true)
        },
    )?;
    last.ended(all.iter().map(|one| (one.model.clone(), one.outcome())));
    let report = Report::new(all);
    let mut text = table::render(&report, output::width());
    if let Some(to) = &args.record {
        let lost = report.compared.iter().any(|one| one.lost.is_some());
        if lost {
            text += &format!("{to} is not written: it would lack what was lost\n");
        } else {
            to.write(output::to_json(&new)?.as_bytes())?;
        }
    }
    finish(report.outcome, &text, &report, &args.json)
}

/// Every model file below the fixtures, sorted.
fn models_below(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut models = fixture::files(folder)?;
    models.retain(|path| path.extension().is_some_and(|e| e == "gguf"));
    models.sort();
    Ok(models)
}
