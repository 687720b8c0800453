//! `harness shapes --recorded` and `--record`: models chosen for their formats, by record.

use std::collections::BTreeSet;

use engine::kernels::Kernel;
use serde::Serialize;

use super::Args;
use crate::command::finish::finish;
use crate::exit::{Exit, Failure};
use crate::io::destination::Destination;
use crate::io::{look, output};
use crate::judge::outcome::Outcome;
use crate::oracle::shapes::record::{FILE, Recalled, Record};
use crate::oracle::weights::subject::no_reference;
use crate::receipt::features::{Cell, Features};
use crate::reference;
use crate::reference::isolation::Limits;
use crate::runner::products;
use crate::runner::suite::Suite;

/// What `--json` writes.
#[derive(Serialize)]
struct Report {
    schema_version: u32,
    outcome: Outcome,
    recorded: Vec<Recalled>,
    features: Features,
}

/// Holds the engine to what is on record.
pub fn recall(args: &Args) -> Result<Exit, Failure> {
    let folder = args.fixtures.clone().map_or_else(Suite::find, Ok)?;
    if !folder.join(FILE).exists() {
        let folder = folder.display();
        return Err(no_reference(format!("{folder} has no {FILE}")));
    }
    judge(args, &Record::read(&folder)?)
}

/// Asks references, and writes what they say beside what others said before, where the engine says
/// the same.
pub fn record(args: &Args, to: &Destination) -> Result<Exit, Failure> {
    let outputs = args.json.beside([])?;
    outputs.writes("--record", Some(to))?;
    let limits = Limits {
        patience: args.patience,
        ..Limits::default()
    };
    let references = reference::open(&args.reference, limits)?;
    if references.is_empty() {
        return Err(no_reference("--record writes what a reference says".into()));
    }
    let folder = args.fixtures.clone().map_or_else(Suite::find, Ok)?;
    let mut record = Record::kept(&folder)?;
    for reference in &references {
        record.ask(reference, |model, declined| {
            if let Some(why) = declined {
                output::tell(format!("not on record: {model}: {why}"));
            }
        })?;
    }
    let exit = judge(args, &record)?;
    if exit == Exit::Agrees {
        to.write(output::to_json(&record)?.as_bytes())?;
    }
    Ok(exit)
}

fn judge(args: &Args, record: &Record) -> Result<Exit, Failure> {
    let kernels = args.kernel;
    let kernels = kernels.map_or_else(Kernel::available, |kernel| vec![kernel]);
    let recorded = record.recall(&kernels)?;
    let cells = recorded.iter().flat_map(|one| one.exercised.clone());
    let cells: BTreeSet<Cell> = cells.collect();
    let none = if recorded.is_empty() {
        Outcome::Incomplete
    } else {
        Outcome::Ok
    };
    let report = Report {
        schema_version: 1,
        outcome: Outcome::worst(none, recorded.iter().map(Recalled::outcome)),
        features: Features::of_cells(&cells, products::here()),
        recorded,
    };
    let mut text: String = report.recorded.iter().map(Recalled::text).collect();
    text += &format!("{}\n", report.features.counts());
    if look::is_verbose() {
        let lines = report.features.lines().into_iter();
        text.extend(lines.map(|line| line + "\n"));
    }
    finish(report.outcome, &text, &report, &args.json)
}
