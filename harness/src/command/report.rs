//! `harness report`: what a command wrote as JSON, as a page for the browser.

use std::path::PathBuf;

use crate::command::flags::Html;
use crate::exit::{Exit, Failure};
use crate::file::provenance::Input;
use crate::io::destination::{Destination, FileRoles};
use crate::report;

const HELP: &str = "\
Examples:
  harness report receipt.json
  harness report receipt.json --html report.html

The page is one file: no network, no script that it needs. It shows what the JSON holds and nothing
else, so it is the page that --html wrote when the command ran.";

/// Make a page for the browser of what a command wrote as JSON
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// What --json wrote
    #[arg(value_name = "RECEIPT")]
    receipt: PathBuf,

    #[command(flatten)]
    html: Html,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let to = args.html.to.unwrap_or(Destination::Stdout);
    FileRoles::default()
        .reads("the receipt", &args.receipt)
        .writes("--html", Some(&to))?;
    let (_, bytes) = Input::read(&args.receipt)?;
    let named = |why: String| Failure::input(format!("{}: {why}", args.receipt.display()));
    let page = report::of_json(&bytes).map_err(named)?;
    to.write(page.as_bytes())?;
    Ok(Exit::Agrees)
}
