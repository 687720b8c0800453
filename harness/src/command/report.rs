//! `harness report`: what a command wrote as JSON, as a page for the browser.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::command::flags::Html;
use crate::exit::{Exit, Failure};
use crate::file::provenance::Input;
use crate::io::destination::{Destination, FileRoles};
use crate::report;

const HELP: &str = "\
Examples:
  harness report receipt.json
  harness report receipt.json --html report.html
  harness report receipts/ --html trends.html

The page is one file: no network, no script that it needs. It shows what the JSON holds and nothing
else, so it is the page that --html wrote when the command ran.

Of a folder, every .json in it: receipts of crossval by the time they began, and what bench wrote:
how much agreed, how far apart the rest was, how fast. What is neither is named on the page.";

/// Make a page for the browser of what a command wrote as JSON
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// What --json wrote, or a folder of such files
    #[arg(value_name = "RECEIPT|FOLDER")]
    from: PathBuf,

    #[command(flatten)]
    html: Html,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let to = args.html.to.unwrap_or(Destination::Stdout);
    let files = files(&args.from)?;
    let roles = files.iter().fold(FileRoles::default(), |roles, path| {
        roles.reads("the receipt", path)
    });
    roles.writes("--html", Some(&to))?;
    let page = if args.from.is_dir() {
        let read = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Ok((name.into_owned(), Input::read(path)?.1.to_vec()))
        };
        let files: Result<Vec<_>, Failure> = files.iter().map(read).collect();
        report::of_folder(&files?)
    } else {
        let (_, bytes) = Input::read(&args.from)?;
        report::of_json(&bytes)
    };
    let named = |why: String| Failure::input(format!("{}: {why}", args.from.display()));
    to.write(page.map_err(named)?.as_bytes())?;
    Ok(Exit::Agrees)
}

/// The file itself, or every `.json` of a folder, by name.
fn files(from: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !from.is_dir() {
        return Ok(vec![from.to_owned()]);
    }
    let named = |e| Failure::environment(format!("{}: {e}", from.display()));
    let mut files = Vec::new();
    for entry in from.read_dir().map_err(named)? {
        let path = entry.map_err(named)?.path();
        if path.extension() == Some(OsStr::new("json")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
