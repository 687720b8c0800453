//! `harness reference`: the C++ references there are, and what one says of itself.

use ffi::reference::{COMMAND, Cache, IfMissing, Spec, known, prepare};
use serde_json::json;

use crate::command::finish::finish;
use crate::command::flags::Json;
use crate::exit::{Exit, Failure};
use crate::io::destination::Destination;
use crate::io::output;
use crate::judge::outcome::Outcome;
use crate::reference;
use crate::reference::isolation::Limits;

const HELP: &str = "\
Examples:
  harness reference list
  harness reference build bitnet
  harness reference info bitnet";

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
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    match args.action {
        Action::List(json) => list(&json),
        Action::Build { name, json } => build(&name, &json),
        Action::Info { name, json } => info(name, json),
    }
}

fn list(json: &Json) -> Result<Exit, Failure> {
    json.beside([])?;
    let cache = Cache::from_environment().map_err(Failure::environment)?;
    let (mut text, mut rows) = (String::new(), Vec::new());
    for recipe in known() {
        let place = cache.reference(recipe.name, &recipe.key());
        let place = place.is_dir().then(|| place.display().to_string());
        let shown = place.as_deref().unwrap_or("not built");
        text += &format!("{:16} {}\n{:16} {shown}\n", recipe.name, recipe.summary, "");
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
