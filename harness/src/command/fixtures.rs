//! `harness fixtures`: the committed inputs, verified or made again.

mod instruct;
mod packed;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use engine::bytes::{ModelBytes, Storage};
use engine::config::Architecture;
use engine::gguf::Gguf;
use ffi::reference::Cache;
use serde_json::json;

use crate::command::finish::finish;
use crate::command::flags::{Json, OneModel, positive};
use crate::exit::{Exit, Failure};
use crate::file::opened::Opened;
use crate::file::provenance;
use crate::file::reading::Reading;
use crate::fixture::big::Like;
use crate::fixture::checkpoint::{self, Form};
use crate::fixture::random::{self, RandomShape};
use crate::fixture::{self, Problem, Report};
use crate::io::destination::{Destination, FileRoles};
use crate::io::{atomic, progress};
use crate::judge::outcome::Outcome;
use crate::runner::suite::Suite;

const EXAMPLES: &str = "\
Examples:
  harness fixtures verify
  harness fixtures verify --json verified.json
  harness fixtures random --seed 7 -o random.gguf
  harness fixtures random --seed 7 --arch bitnet --shape 'layers=1 vocab=300' -o small.gguf
  harness fixtures packed --seed 44 --packing qk256 --rows 3 --cols 300 -o packed.gguf
  harness fixtures checkpoint --model model.gguf --form multiply --shards 3 -o made
  harness fixtures instruct --model model.gguf -o instruct.gguf
  harness fixtures big --like 2b4t -o big.gguf
  harness fixtures big --like 700m --weights tq2_0 --table q6_k -o big-tq2_0.gguf";

/// Verify or regenerate the committed fixtures, or make a random model
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
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
    /// Write a tiny file in a packing of the QK256 family, as the committed ones are
    Packed(packed::Packed),
    /// Write a model as the Hugging Face checkpoint that it might have come from
    Checkpoint(Checkpoint),
    /// Write a model with a chat template, so that `generate --chat` can talk to it
    Instruct(instruct::Instruct),
    /// Write a model with random weights in the shapes of a published one, for `bench`
    Big(Large),
}

#[derive(clap::Args)]
struct Large {
    /// Whose shapes
    #[arg(long, value_name = "NAME", default_value = "2b4t")]
    like: Like,

    /// How the matrices of the blocks are written: i2_s-p128, tq1_0, tq2_0, …
    #[arg(long, value_name = "FORMAT", default_value = "i2_s-p128")]
    weights: String,

    /// How the table of embeddings is written, which is the head as well: f16, q6_k, q8_0, …
    #[arg(long, value_name = "FORMAT", default_value = "f16")]
    table: String,

    /// Decides every weight
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,

    #[command(flatten)]
    changes: Changes,

    /// Where the model goes; replaces no file but one it made itself [default: `models` in the
    /// cache, under a name that says all of it]
    #[arg(short, long, value_name = "FILE|-")]
    output: Option<Destination>,

    #[command(flatten)]
    json: Json,
}

#[derive(clap::Args)]
struct Checkpoint {
    #[command(flatten)]
    model: OneModel,

    /// How linear weights lie in the checkpoint
    #[arg(long, value_name = "FORM", default_value = "values")]
    form: Form,

    /// Files that the tensors are shared out among
    #[arg(long, value_name = "N", default_value = "1", value_parser = positive)]
    shards: usize,

    /// The folder the checkpoint goes to; a new one, or an empty one
    #[arg(short, long, value_name = "FOLDER")]
    output: PathBuf,

    #[command(flatten)]
    json: Json,
}

#[derive(clap::Args)]
struct Changes {
    /// Change the shape, in the words it is printed in, e.g. 'layers=1 vocab=300'
    #[arg(
        long,
        value_name = "WORDS",
        default_value = "",
        hide_default_value = true
    )]
    shape: String,
}

#[derive(clap::Args)]
struct Recipe {
    /// Decides the shape and every weight
    #[arg(long, value_name = "N")]
    seed: u64,

    /// Draw a shape of this architecture
    #[arg(long, value_name = "NAME", value_parser = random::architecture_by_name)]
    arch: Option<Architecture>,

    #[command(flatten)]
    changes: Changes,

    /// Where the model goes; replaces no file but one it made itself [default: nowhere, only the
    /// shape is printed]
    #[arg(short, long, value_name = "FILE|-")]
    output: Option<Destination>,

    #[command(flatten)]
    json: Json,
}

#[derive(clap::Args)]
struct Place {
    /// The fixtures folder [default: found from the current folder upwards; to verify, else what
    /// is built in]
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
        Action::Random(recipe) => {
            let drawn = RandomShape::from_seed(recipe.seed, recipe.arch);
            let shape = drawn.changed(&recipe.changes.shape).map_err(refuse)?;
            make(&shape, recipe.output.as_ref(), &recipe.json)
        }
        Action::Checkpoint(checkpoint) => write_checkpoint(&checkpoint),
        Action::Packed(packed) => packed.write(),
        Action::Instruct(instruct) => instruct.write(),
        Action::Big(large) => {
            let Large { weights, table, .. } = &large;
            let shape = large
                .like
                .shape(large.seed, weights, table, &large.changes.shape);
            let shape = shape.map_err(refuse)?;
            let to = large.output.map_or_else(|| cached(&shape), Ok)?;
            make(&shape, Some(&to), &large.json)
        }
    }
}

fn verify(place: &Place) -> Result<Exit, Failure> {
    let report = fixture::verify(&place.folder(Suite::find)?)?;
    let problems = report.problems.values().map(|problem| match problem {
        Problem::Unreadable { .. } => Outcome::Environment,
        _ => Outcome::Divergence,
    });
    let outcome = Outcome::worst(Outcome::Ok, problems);
    finish(outcome, &text(&report), &report, &place.json)
}

fn regenerate(place: &Place) -> Result<Exit, Failure> {
    let written = fixture::regenerate(&place.folder(Suite::folder_here)?)?;
    let mut text: String = written.iter().map(|p| format!("wrote {p}\n")).collect();
    if written.is_empty() {
        text.push_str("nothing to write: every generated fixture is as it would be made\n");
    }
    let result = json!({ "written": written });
    finish(Outcome::Ok, &text, &result, &place.json)
}

fn refuse(why: String) -> Failure {
    Failure::input(format!("--shape: {why}"))
}

fn write_checkpoint(args: &Checkpoint) -> Result<Exit, Failure> {
    let roles = FileRoles::default().reads("--model", args.model.path()?);
    let folder = &args.output;
    std::fs::create_dir_all(folder)
        .map_err(|e| Failure::environment(format!("{}: {e}", folder.display())))?;
    if !fixture::files(folder)?.is_empty() {
        let message = format!("--output {}: the folder is not empty", folder.display());
        return Err(Failure::input(message));
    }
    let opened = Opened::read(args.model.path()?, Reading::default())?;
    let files = checkpoint::files(&opened.gguf, args.form, args.shards).map_err(Failure::input)?;
    let paths = files.iter().map(|file| folder.join(&file.name));
    let roles = paths.fold(roles, |roles, path| roles.reads("--output", &path));
    roles.writes("--json", args.json.to.as_ref())?;
    let mut text = String::new();
    for file in &files {
        let path = folder.join(&file.name);
        atomic::write(&path, &file.bytes).map_err(Failure::environment)?;
        text += &format!("{}: {} bytes\n", path.display(), file.bytes.len());
    }
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    let result = json!({ "output": folder.display().to_string(), "files": names });
    finish(Outcome::Ok, &text, &result, &args.json)
}

/// The place in the cache of a model of that shape.
fn cached(shape: &RandomShape) -> Result<Destination, Failure> {
    let cache = Cache::from_environment().map_err(Failure::environment)?;
    let folder = cache.models();
    std::fs::create_dir_all(&folder).map_err(Failure::environment)?;
    let digest = provenance::sha256(shape.to_string().as_bytes());
    let (weights, table) = (shape.weights, shape.embedding);
    let name = format!("{weights}-{table}-{}.gguf", &digest[..8]);
    Ok(Destination::Path(folder.join(name)))
}

fn make(shape: &RandomShape, to: Option<&Destination>, json: &Json) -> Result<Exit, Failure> {
    let roles = FileRoles::default().writes("--output", to)?;
    roles.writes("--json", json.to.as_ref())?;
    if let Some(to) = to {
        replaceable(to)?;
    }
    let waiting = progress::spinner("drawing the weights");
    let bytes = shape.document().map_err(refuse)?.file();
    let (size, sha256) = (bytes.len(), provenance::sha256(&bytes));
    let mut text = format!("{shape}\n{size} bytes, sha256 {sha256}\n");
    if let Some(to) = to {
        to.write(&bytes)?;
        match to {
            Destination::Stdout => text.clear(),
            Destination::Path(path) => text.push_str(&format!("{}\n", path.display())),
        }
    }
    waiting.finish_and_clear();
    let path = to.map(ToString::to_string);
    let result = json!({ "shape": shape, "bytes": size, "sha256": sha256, "path": path });
    finish(Outcome::Ok, &text, &result, json)
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
    fn folder(&self, found: fn() -> Result<PathBuf, Failure>) -> Result<PathBuf, Failure> {
        let folder = self.fixtures.clone().map_or_else(found, Ok)?;
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
