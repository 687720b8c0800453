//! `harness fixtures`: the committed inputs, verified or made again.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::fixture::{self, Problem, Report};
use crate::output;
use crate::suite::Suite;

const EXAMPLE: &str = "\
Example:
  harness fixtures verify
  harness fixtures regenerate --fixtures fixtures --json";

/// Verify or regenerate the committed fixtures
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Compare every fixture with its checksum, and every generated one with a fresh one
    Verify(Place),
    /// Write the generated fixtures again; files that would not change are left alone
    Regenerate(Place),
}

#[derive(clap::Args)]
struct Place {
    /// The fixtures folder [default: found from the current folder upwards]
    #[arg(long, value_name = "FOLDER")]
    fixtures: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    match args.action {
        Action::Verify(place) => verify(&place),
        Action::Regenerate(place) => regenerate(&place),
    }
}

fn verify(place: &Place) -> Result<Exit, Failure> {
    let report = fixture::verify(&place.folder()?)?;
    match place.json {
        true => output::json(&report)?,
        false => output::put(table(&report).as_bytes())?,
    };
    Ok(match report.problems.is_empty() {
        true => Exit::Agrees,
        false => Exit::Diverges,
    })
}

fn regenerate(place: &Place) -> Result<Exit, Failure> {
    let written = fixture::regenerate(&place.folder()?)?;
    if place.json {
        output::json(&json!({ "written": written }))?;
        return Ok(Exit::Agrees);
    }
    let mut text: String = written.iter().map(|p| format!("wrote {p}\n")).collect();
    if written.is_empty() {
        text.push_str("nothing to write: every generated fixture is as it would be made\n");
    }
    output::put(text.as_bytes())?;
    Ok(Exit::Agrees)
}

impl Place {
    fn folder(&self) -> Result<PathBuf, Failure> {
        self.fixtures.clone().map_or_else(Suite::find, Ok)
    }
}

fn table(report: &Report) -> String {
    let mut text = String::new();
    for (path, problem) in &report.problems {
        let what = match problem {
            Problem::NoList => "is not there, so nothing in this folder was checked".into(),
            Problem::Missing => "is not there".into(),
            Problem::Unlisted => "is in no list of checksums".into(),
            Problem::Changed { listed, found } => {
                format!("has another hash\n    listed {listed}\n    found  {found}")
            }
            Problem::NotReproduced { first_difference } => {
                format!("would be made differently from byte {first_difference} on")
            }
        };
        writeln!(text, "{path} {what}").expect("writing to a string cannot fail");
    }
    let verdict = match report.problems.len() {
        0 => "all as committed".to_owned(),
        1 => "1 problem".to_owned(),
        n => format!("{n} problems"),
    };
    let (hashed, reproduced) = (report.hashed, report.reproduced);
    text + &format!(
        "{hashed} files match their checksum, {reproduced} were reproduced: {verdict}\n"
    )
}
