//! `harness reference`: the C++ references there are, and what one says of itself.

use std::path::PathBuf;

use engine::refusal::escape;
use ffi::reference::{COMMAND, Cache, IfMissing, Spec, known, prepare};
use serde_json::json;

use crate::command::finish::finish;
use crate::command::flags::Json;
use crate::exit::{Exit, Failure};
use crate::file::provenance::Input;
use crate::io::destination::Destination;
use crate::io::output;
use crate::judge::outcome::Outcome;
use crate::reference;
use crate::reference::isolation::Limits;
use crate::runner::reference::Observing;
use crate::runner::{ModelFile, RunError, Runner};

const HELP: &str = "\
Examples:
  harness reference list
  harness reference build bitnet
  harness reference info bitnet
  harness reference load bitnet model.gguf

`load` shows the library a file as it is, whatever the engine thinks of it, and ends with 2 where it
was refused and with 6 where the library died of it.";

/// List, build or question C++ references
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Print the references this program can build, and whether they are built
    List(Json),
    /// Build one, with the tools clang, cmake and ninja; scripts/reference.sh installs them, too
    Build {
        /// bitnet, bitnet-portable, ik, llama, or the directory of a checkout
        name: String,

        #[command(flatten)]
        json: Json,
    },
    /// Open one in a process of its own and print who it is, as JSON
    Info {
        /// A name or a directory [default: what BITNET_CPP_DIR names]
        name: Option<String>,

        #[command(flatten)]
        json: Json,
    },
    /// Have one load model files, each in a process of its own, and say what became of them
    Load {
        /// A name or a directory
        name: String,

        /// The files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,

        #[command(flatten)]
        json: Json,
    },
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    match args.action {
        Action::List(json) => list(&json),
        Action::Build { name, json } => build(&name, &json),
        Action::Info { name, json } => info(name, json),
        Action::Load { name, files, json } => load(name, &files, &json),
    }
}

fn list(json: &Json) -> Result<Exit, Failure> {
    json.beside([])?;
    let cache = Cache::from_environment().map_err(Failure::environment)?;
    let (mut text, mut rows) = (String::new(), Vec::new());
    let width = known().iter().map(|recipe| recipe.name.len()).max();
    let width = width.unwrap_or_default();
    for recipe in known() {
        let place = cache.reference(recipe.name, &recipe.key());
        let place = place.is_dir().then(|| place.display().to_string());
        let shown = place.as_deref().unwrap_or("not built");
        let (name, summary) = (recipe.name, recipe.summary);
        text += &format!("{name:width$} {summary}\n{:width$} {shown}\n", "");
        rows.push(json!({ "name": recipe.name, "summary": recipe.summary, "built": place }));
    }
    text += &format!("\nThe usual way to build one and make it the one in use:\n  {COMMAND}\n");
    finish(Outcome::Ok, &text, &rows, json)
}

fn build(name: &str, json: &Json) -> Result<Exit, Failure> {
    json.beside([])?;
    let cache = Cache::from_environment().map_err(Failure::environment)?;
    let asked = Spec::parse(name).map_err(Failure::input)?;
    let prepared = prepare(&asked, &cache, IfMissing::Build, &mut |line| {
        output::tell(line)
    });
    let root = prepared.map_err(Failure::environment)?.tree.root;
    let root = root.display().to_string();
    let result = json!({ "name": name, "built": root });
    finish(Outcome::Ok, &format!("{root}\n"), &result, json)
}

/// Only JSON says all of it, so that is what is printed unless a file is to hold it.
fn info(name: Option<String>, mut json: Json) -> Result<Exit, Failure> {
    json.beside([])?;
    json.to.get_or_insert(Destination::Stdout);
    let names: Vec<String> = name.into_iter().collect();
    let open = reference::open_some(&names, Limits::default())?;
    let facts = open[0].facts();
    let result = json!({ "profile": facts.profile(), "reference": facts });
    finish(Outcome::Ok, "", &result, &json)
}

fn load(name: String, files: &[PathBuf], json: &Json) -> Result<Exit, Failure> {
    json.beside(files.iter().map(|file| ("FILE", file.as_path())))?;
    let open = reference::open_some(&[name], Limits::default())?;
    let mut asked = Observing::unchanged(open[0].clone());
    let (mut text, mut rows, mut worst) = (String::new(), Vec::new(), Outcome::Ok);
    for file in files {
        let (input, _) = Input::read(file)?;
        let (outcome, why) = match asked.open(ModelFile::Read(&input)) {
            Ok(_) => (Outcome::Ok, String::new()),
            Err(RunError::Declined(why)) => (Outcome::Refused, why),
            Err(RunError::Lost(death)) => (Outcome::ReferenceDied, death.to_string()),
            Err(other) => return Err(other.into()),
        };
        worst = worst.max(outcome);
        let shown = file.display().to_string();
        text += &format!(
            "{:14} {}  {}\n",
            outcome.name(),
            escape(&shown),
            escape(&why)
        );
        rows.push(json!({ "file": shown, "outcome": outcome, "why": why }));
    }
    finish(worst, &text, &rows, json)
}
