//! `harness fixtures`: the committed inputs, verified or made again.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Subcommand;
use engine::config::Architecture;
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::file::provenance;
use crate::fixture::random::{self, RandomShape};
use crate::fixture::{self, Problem, Report};
use crate::io::atomic;
use crate::io::output;
use crate::runner::suite::Suite;

const EXAMPLE: &str = "\
Example:
  harness fixtures verify
  harness fixtures regenerate --fixtures fixtures --json
  harness fixtures random --seed 7 -o model.gguf
  harness fixtures random --seed 7 --arch bitnet --shape 'layers=1 group=5' -o model.gguf";

/// Verify or regenerate the committed fixtures, or make a random model
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
    /// Write a small model with random weights; the same seed gives the same bytes everywhere
    Random(Recipe),
}

#[derive(clap::Args)]
struct Recipe {
    /// Decides the shape and every weight
    #[arg(long, value_name = "N")]
    seed: u64,

    /// Draw a shape of this architecture
    #[arg(long, value_name = "NAME", value_parser = random::architecture_by_name)]
    arch: Option<Architecture>,

    /// Change the shape, in the words it is printed in, e.g. 'layers=1 group=5'
    #[arg(
        long,
        value_name = "WORDS",
        default_value = "",
        hide_default_value = true
    )]
    shape: String,

    /// Where the model goes [default: nowhere, only the shape is printed]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
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
        Action::Random(recipe) => make(&recipe),
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

fn make(recipe: &Recipe) -> Result<Exit, Failure> {
    let drawn = RandomShape::from_seed(recipe.seed, recipe.arch);
    let refuse = |why| Failure::input(format!("--shape: {why}"));
    let shape = drawn.changed(&recipe.shape).map_err(refuse)?;
    let bytes = shape.document().map_err(refuse)?.file();
    if let Some(path) = &recipe.output {
        atomic::write(path, &bytes).map_err(Failure::environment)?;
    }
    let (size, sha256) = (bytes.len(), provenance::sha256(&bytes));
    match recipe.json {
        true => output::json(&json!({ "shape": shape, "bytes": size, "sha256": sha256 }))?,
        false => output::put(format!("{shape}\n{size} bytes, sha256 {sha256}\n").as_bytes())?,
    };
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
