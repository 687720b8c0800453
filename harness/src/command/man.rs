//! `harness man`: manual pages, made from the command tree.

use std::path::PathBuf;

use clap::Command;

use crate::command::cli;
use crate::exit::{Exit, Failure};
use crate::io::output;

/// Print the manual page, or write one for each command into a folder
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness man > harness.1
  harness man --out pages/")]
pub struct Args {
    /// Where the pages go: harness.1, harness-crossval.1, …
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let tree = cli::tree();
    let Some(folder) = args.out else {
        output::put(&page(&tree)?)?;
        return Ok(Exit::Agrees);
    };
    std::fs::create_dir_all(&folder).map_err(Failure::environment)?;
    clap_mangen::generate_to(tree, &folder).map_err(Failure::environment)?;
    Ok(Exit::Agrees)
}

fn page(command: &Command) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let page = clap_mangen::Man::new(command.clone());
    page.render(&mut bytes).map_err(Failure::environment)?;
    Ok(bytes)
}
