//! `harness calibrate`: how far apart lanes without a fault are, beside what is on record.

use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::Model;
use engine::kernels::Kernel;
use engine::numerics::Profile;
use engine::session::OpenOptions;
use serde_json::json;

use crate::case::Case;
use crate::case::observation::Identity;
use crate::command::finish::finish;
use crate::command::flags::{self, Json, OneModel};
use crate::exit::{Exit, Failure};
use crate::file::provenance::{Input, file_name};
use crate::io::destination::{Destination, FileRoles};
use crate::io::{output, progress};
use crate::judge::outcome::Outcome;
use crate::judge::tolerance::file::{FILE, Measured, tolerances};
use crate::judge::tolerance::table;
use crate::oracle::calibrate::documents::{self, Extent};
use crate::oracle::calibrate::{Calibration, Report, measure, written};
use crate::reference;
use crate::reference::isolation::Limits;
use crate::runner::Runner;
use crate::runner::engine::Engine;
use crate::runner::reference::Observing;
use crate::runner::suite::Suite;

const HELP: &str = "\
Examples:
  harness calibrate
  harness calibrate --reference bitnet --reference bitnet-portable --reference ik --reference llama
  harness calibrate --reference bitnet --reference ik --reference llama \\
      --write --tolerances tolerances.toml
  harness calibrate --table README.md

The model writes the texts itself, from a seed. Each is read by the engine in every arithmetic it
knows, and by the references named. Those of one arithmetic must have the same bits; the
distances of the others are the floors, and a gate of the ladder is a multiple of its floor. Exit 1
if bits differ within one arithmetic, or if a floor exceeds the gate on record.";

/// Texts, and tokens of each, where nothing else is said. What goes on record has no fewer.
const DOCUMENTS: usize = 24;
const LENGTH: usize = 300;

/// Measure the floors that the tolerances stand on
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    model: OneModel,

    /// Ask this C++ reference as well; may be given several times [default: what BITNET_CPP_DIR
    /// names, if it is set]
    #[arg(long, value_name = "NAME|DIR")]
    reference: Vec<String>,

    /// Texts
    #[arg(long, value_name = "N", default_value_t = DOCUMENTS, value_parser = flags::positive)]
    documents: usize,

    /// Tokens of each
    #[arg(long, value_name = "N", default_value_t = LENGTH, value_parser = flags::positive)]
    length: usize,

    /// Seed of the first text
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,

    /// Seconds a reference may take for one text
    #[arg(long, value_name = "N", default_value = "120", value_parser = flags::seconds)]
    patience: Duration,

    /// Put the floors on record, with the date; every kind of lane must have been measured
    #[arg(long)]
    write: bool,

    /// The file on record [default: harness/tolerances.toml beside the fixtures]
    #[arg(long, value_name = "FILE")]
    tolerances: Option<PathBuf>,

    /// Measure nothing; put the ladder as it is compiled in into the table of this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["write", "reference", "model"])]
    table: Option<PathBuf>,

    #[command(flatten)]
    json: Json,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    if let Some(file) = &args.table {
        return put_table(file, &args.json);
    }
    if args.write && (args.documents < DOCUMENTS || args.length < LENGTH) {
        return Err(Failure::input(format!(
            "--write needs {DOCUMENTS} texts of {LENGTH} tokens or more: fewer show too little of \
             the tail, and the gates would be too tight"
        )));
    }
    let folder = Suite::find()?;
    let own = || folder.join("moby-tiny/moby-tiny-bitnet.gguf");
    let path = args.model.typed().map_or_else(own, Path::to_owned);
    let beside = || folder.join("../harness").join(FILE);
    let record = args.tolerances.clone().unwrap_or_else(beside);
    let record = args.write.then_some(record);
    FileRoles::default()
        .reads("--model", &path)
        .writes(
            "--tolerances",
            record.clone().map(Destination::Path).as_ref(),
        )?
        .writes("--json", args.json.to.as_ref())?;
    let (input, _) = Input::read(&path)?;
    let mut runners = runners(&args)?;
    let cases = write_texts(&args, &path)?;
    let bar = progress::bar((cases.len() * runners.len()) as u64, "observations");
    let calibration = measure(&cases, &input, &mut runners, || bar.inc(1));
    bar.finish_and_clear();
    input.still_holds()?;

    let measured = circumstances(&args, &input, &calibration);
    let report = Report::conclude(calibration, measured, tolerances())?;
    let mut outcome = report.outcome(args.write);
    if let (Some(file), Outcome::Ok) = (&record, outcome)
        && let Err(failure) = put_on_record(file, &report)
    {
        output::tell(format!("error: {failure}"));
        outcome = failure.exit.into();
    }
    finish(
        outcome,
        &report.render(output::width()),
        &report,
        &args.json,
    )
}

/// The engine in every arithmetic, every reference, and the first of these twice.
fn runners(args: &Args) -> Result<Vec<Box<dyn Runner>>, Failure> {
    let mut all: Vec<Box<dyn Runner>> = Vec::new();
    // The one for CPUs with bfloat16 products differs in weights of that type only.
    for profile in Profile::ALL
        .into_iter()
        .filter(|p| *p != Profile::GgmlAvx512Bf16)
    {
        all.push(Box::new(
            Engine::new(Kernel::best(), 1).with_profile(profile),
        ));
    }
    let limits = Limits {
        patience: args.patience,
        ..Limits::default()
    };
    let live = reference::open(&args.reference, limits)?;
    let live: Vec<Observing> = live.into_iter().map(Observing::new).collect();
    let again = live.first().map(|first| first.again(1));
    let live = live.into_iter().chain(again);
    all.extend(live.map(|one| Box::new(one) as Box<dyn Runner>));
    Ok(all)
}

fn write_texts(args: &Args, path: &Path) -> Result<Vec<Case>, Failure> {
    let model = Model::open(path, &OpenOptions::default())?;
    let extent = Extent {
        documents: args.documents,
        length: args.length,
        seed: args.seed,
    };
    let bar = progress::bar(args.documents as u64, "texts");
    let cases = documents::write(&model, &file_name(path), extent, || bar.inc(1));
    bar.finish_and_clear();
    cases
}

fn circumstances(args: &Args, model: &Input, calibration: &Calibration) -> Measured {
    let mut command = "harness calibrate".to_owned();
    for reference in &args.reference {
        command += &format!(" --reference {}", file_name(Path::new(reference)));
    }
    for (flag, value, usual) in [
        ("documents", args.documents as u64, DOCUMENTS as u64),
        ("length", args.length as u64, LENGTH as u64),
        ("seed", args.seed, 1),
    ] {
        if value != usual {
            command += &format!(" --{flag} {value}");
        }
    }
    let shown = |who: &Identity| {
        let print = who.fingerprint.get(..16).unwrap_or(&who.fingerprint);
        format!("{} ({}) {print}", who.name, who.profile)
    };
    Measured {
        date: written::today(),
        model: file_name(&model.path),
        model_sha256: model.sha256.clone(),
        documents: args.documents,
        command,
        witnesses: calibration.runners.iter().map(shown).collect(),
    }
}

/// Floors of one day and one model stand together or not at all.
fn put_on_record(file: &Path, report: &Report) -> Result<(), Failure> {
    if let [missing, ..] = &report.unmeasured[..] {
        let message = format!(
            "nothing is written: {} was not measured; name a reference of that kind",
            missing.words()
        );
        let exit = Exit::Incomplete;
        return Err(Failure::new(exit, message));
    }
    let floors: Vec<_> = report.floors.iter().map(|f| f.floor.clone()).collect();
    rewrite(file, |text| {
        written::rewritten(text, &report.measured, &floors)
    })
}

fn put_table(file: &Path, json: &Json) -> Result<Exit, Failure> {
    FileRoles::default()
        .writes("--table", Some(&Destination::Path(file.to_owned())))?
        .writes("--json", json.to.as_ref())?;
    rewrite(file, |text| {
        table::replaced(text, &table::markdown(tolerances())).ok_or_else(|| {
            let (begin, end) = (table::BEGIN, table::END);
            Failure::input(format!("{} has no lines {begin} and {end}", file.display()))
        })
    })?;
    finish(Outcome::Ok, "", &json!({ "table": file }), json)
}

/// Reads a text file and writes what becomes of it.
fn rewrite(
    file: &Path,
    change: impl FnOnce(&str) -> Result<String, Failure>,
) -> Result<(), Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|e| Failure::environment(format!("{}: {e}", file.display())))?;
    Destination::Path(file.to_owned()).write(change(&text)?.as_bytes())
}
