//! Where the result goes as a page for the browser: the same flag in every command that has one.

use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::io::destination::{Destination, FileRoles};
use crate::io::output;
use crate::report;

/// Where the page goes.
#[derive(clap::Args, Debug, Clone, Default)]
pub struct Html {
    /// Write the result as one page of HTML, which needs no network: what `harness report` makes
    /// of the JSON
    #[arg(id = "html", long = "html", value_name = "FILE|-", display_order = 900)]
    pub to: Option<Destination>,
}

impl Html {
    /// Among the files of a command. Refused if one of them would be destroyed.
    pub fn beside(&self, roles: FileRoles) -> Result<FileRoles, Failure> {
        roles.writes("--html", self.to.as_ref())
    }

    /// Whether standard output is taken, so that text has no place there.
    pub fn takes_stdout(&self) -> bool {
        self.to == Some(Destination::Stdout)
    }

    /// Writes the page of a result, if it was asked for: of the same JSON that `--json` writes. A
    /// page that cannot be written never hides what was found.
    pub fn show(&self, ended: Exit, result: &impl Serialize) -> Exit {
        self.write(ended, || {
            let json = output::to_json(result)?;
            report::of_json(json.as_bytes()).map_err(Failure::environment)
        })
    }

    /// Writes a page, if it was asked for; it is made only then.
    pub fn write(&self, ended: Exit, page: impl FnOnce() -> Result<String, Failure>) -> Exit {
        let Some(to) = &self.to else {
            return ended;
        };
        match page().and_then(|page| to.write(page.as_bytes())) {
            Ok(()) => ended,
            Err(failure) => {
                output::tell(format!("error: {failure}"));
                match ended {
                    Exit::Agrees => Exit::Environment,
                    found => found,
                }
            }
        }
    }
}
