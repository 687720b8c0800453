//! `harness fixtures`: the committed inputs, verified or made again.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use engine::bytes::{ModelBytes, Storage};
use engine::config::Architecture;
use engine::gguf::Gguf;
use serde_json::json;

use crate::command::finish::finish;
use crate::command::flags::Json;
use crate::exit::{Exit, Failure};
use crate::file::provenance;
use crate::fixture::random::{self, RandomShape};
use crate::fixture::{self, Problem, Report};
use crate::io::destination::{Destination, FileRoles};
use crate::judge::outcome::Outcome;
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

    /// Where the model goes; replaces no file but one it made itself [default: nowhere, only the
    /// shape is printed]
    #[arg(short, long, value_name = "FILE|-")]
    output: Option<Destination>,

    #[command(flatten)]
    json: Json,
}

#[derive(clap::Args)]
struct Place {
    /// The fixtures folder [default: found from the current folder upwards]
    #[arg(long, value_name = "FOLDER")]
    fixtures: Option<PathBuf>,

    #[command(flatten)]
    json: Json,
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
    let problems = report.problems.values().map(|problem| match problem {
        Problem::Unreadable { .. } => Outcome::Environment,
        _ => Outcome::Divergence,
    });
    let outcome = Outcome::worst(Outcome::Ok, problems);
    finish(outcome, &text(&report), &report, &place.json)
}

fn regenerate(place: &Place) -> Result<Exit, Failure> {
    let written = fixture::regenerate(&place.folder()?)?;
    let mut text: String = written.iter().map(|p| format!("wrote {p}\n")).collect();
    if written.is_empty() {
        text.push_str("nothing to write: every generated fixture is as it would be made\n");
    }
    let result = json!({ "written": written });
    finish(Outcome::Ok, &text, &result, &place.json)
}

fn make(recipe: &Recipe) -> Result<Exit, Failure> {
    let to = recipe.output.as_ref();
    let roles = FileRoles::default().writes("--output", to)?;
    roles.writes("--json", recipe.json.to.as_ref())?;
    let drawn = RandomShape::from_seed(recipe.seed, recipe.arch);
    let refuse = |why| Failure::input(format!("--shape: {why}"));
    let shape = drawn.changed(&recipe.shape).map_err(refuse)?;
    let bytes = shape.document().map_err(refuse)?.file();
    let (size, sha256) = (bytes.len(), provenance::sha256(&bytes));
    let mut text = format!("{shape}\n{size} bytes, sha256 {sha256}\n");
    if let Some(to) = to {
        replaceable(to)?;
        to.write(&bytes)?;
        if *to == Destination::Stdout {
            text.clear();
        }
    }
    let result = json!({ "shape": shape, "bytes": size, "sha256": sha256 });
    finish(Outcome::Ok, &text, &result, &recipe.json)
}

/// Refuses to replace a file of another origin: it could not be made again.
fn replaceable(to: &Destination) -> Result<(), Failure> {
    let Destination::Path(path) = to else {
        return Ok(());
    };
    if !path.is_file() || is_random(path) {
        return Ok(());
    }
    Err(Failure::input(format!(
        "--output {to}: a file is there that this command did not make; remove it or give \
         another path"
    )))
}

fn is_random(path: &Path) -> bool {
    let opened = ModelBytes::open(path, Storage::Read);
    let gguf = opened.and_then(|(bytes, _)| Gguf::parse(bytes));
    let name = gguf.and_then(|gguf| {
        gguf.metadata
            .string("general.name")
            .map(|n| n.map(String::from))
    });
    name.is_ok_and(|name| name.is_some_and(|name| name.starts_with(random::NAME)))
}

impl Place {
    /// The folder, in which JSON may replace nothing.
    fn folder(&self) -> Result<PathBuf, Failure> {
        let folder = self.fixtures.clone().map_or_else(Suite::find, Ok)?;
        let files = fixture::files(&folder)?;
        let roles = FileRoles::default();
        let roles = files
            .iter()
            .fold(roles, |r, path| r.reads("--fixtures", path));
        roles.writes("--json", self.json.to.as_ref())?;
        Ok(folder)
    }
}

fn text(report: &Report) -> String {
    let line = |(path, problem): (&String, &Problem)| {
        let what = match problem {
            Problem::NoList => "is not there, so nothing in this folder was checked".into(),
            Problem::Missing => "is not there".into(),
            Problem::Unlisted => "is in no list of checksums".into(),
            Problem::Unreadable { why } => format!("cannot be read: {why}"),
            Problem::Changed { listed, found } => {
                format!("has another hash\n    listed {listed}\n    found  {found}")
            }
            Problem::NotReproduced { first_difference } => {
                format!("would be made differently from byte {first_difference} on")
            }
        };
        format!("{path} {what}\n")
    };
    let problems: String = report.problems.iter().map(line).collect();
    let verdict = match report.problems.len() {
        0 => "all as committed".to_owned(),
        1 => "1 problem".to_owned(),
        n => format!("{n} problems"),
    };
    let (hashed, reproduced) = (report.hashed, report.reproduced);
    let counts = format!("{hashed} files match their checksum, {reproduced} were reproduced");
    format!("{problems}{counts}: {verdict}\n")
}
