//! `harness reference`: the C++ references there are, and what one says of itself.
#![forbid(unsafe_code)]

use ffi::reference::{Asked, COMMAND, Cache, IfMissing, known, prepare};
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::io::output;
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
    List,
    /// Build one, with the tools clang, cmake and ninja; scripts/reference.sh installs them, too
    Build {
        /// bitnet, bitnet-portable, ik, llama, or the directory of a checkout
        name: String,
    },
    /// Open one in a process of its own and print who it is, as JSON
    Info {
        /// A name or a directory [default: what BITNET_CPP_DIR names]
        name: Option<String>,
    },
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    match args.action {
        Action::List => list(),
        Action::Build { name } => build(&name),
        Action::Info { name } => info(name),
    }
}

fn list() -> Result<Exit, Failure> {
    let cache = Cache::from_environment().map_err(Failure::environment)?;
    let mut text = String::new();
    for recipe in known() {
        let place = cache.reference(recipe.name, &recipe.key());
        let place = match place.is_dir() {
            true => place.display().to_string(),
            false => "not built".into(),
        };
        text += &format!("{:16} {}\n{:16} {place}\n", recipe.name, recipe.summary, "");
    }
    text += &format!("\nThe usual way to build one and make it the one in use:\n  {COMMAND}\n");
    output::put(text.as_bytes())?;
    Ok(Exit::Agrees)
}

fn build(name: &str) -> Result<Exit, Failure> {
    let cache = Cache::from_environment().map_err(Failure::environment)?;
    let asked = Asked::parse(name).map_err(Failure::input)?;
    let prepared = prepare(&asked, &cache, IfMissing::Build, &mut |line| {
        eprintln!("{line}")
    });
    let prepared = prepared.map_err(Failure::environment)?;
    output::put(format!("{}\n", prepared.tree.root.display()).as_bytes())?;
    Ok(Exit::Agrees)
}

fn info(name: Option<String>) -> Result<Exit, Failure> {
    let names: Vec<String> = name.into_iter().collect();
    let open = reference::open_some(&names, Limits::default())?;
    let facts = open[0].facts();
    output::json(&json!({ "profile": facts.profile(), "reference": facts }))?;
    Ok(Exit::Agrees)
}
