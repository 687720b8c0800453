//! Where a receipt goes in the forms of other programs: the same flags wherever there is one.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::exit::Failure;
use crate::file::check::Finding;
use crate::file::sarif;
use crate::io::destination::{Destination, FileRoles};
use crate::io::output;
use crate::receipt::{Receipt, exports, junit};

/// The forms.
#[derive(clap::Args, Debug, Clone, Default)]
#[command(next_help_heading = "Output")]
pub struct Exports {
    /// Write a JUnit report
    #[arg(long, value_name = "FILE|-", display_order = 910)]
    junit: Option<Destination>,

    /// Write a summary in Markdown
    #[arg(long, value_name = "FILE|-", display_order = 911)]
    markdown: Option<Destination>,

    /// Write a line for each comparison as CSV
    #[arg(long, value_name = "FILE|-", display_order = 912)]
    csv: Option<Destination>,

    /// Write a badge: SVG where the name ends so, else JSON for an endpoint of shields.io
    #[arg(long, value_name = "FILE|-", display_order = 913)]
    badge: Option<Destination>,
}

impl Exports {
    fn named(&self) -> [(&'static str, &Option<Destination>); 4] {
        [
            ("--junit", &self.junit),
            ("--markdown", &self.markdown),
            ("--csv", &self.csv),
            ("--badge", &self.badge),
        ]
    }

    /// The files they are, beside those that are known.
    pub fn roles(&self, mut roles: FileRoles) -> Result<FileRoles, Failure> {
        for (flag, to) in self.named() {
            roles = roles.writes(flag, to.as_ref())?;
        }
        Ok(roles)
    }

    /// Whether standard output is taken, so that text has no place there.
    pub fn takes_stdout(&self) -> bool {
        let mut all = self.named().into_iter();
        all.any(|(_, to)| *to == Some(Destination::Stdout))
    }

    /// Writes all that were asked for and, in a GitHub workflow, its summary and annotations.
    pub fn write(&self, receipt: &Receipt) -> Result<(), Failure> {
        let form = |flag: &str, to: &Destination| match flag {
            "--junit" => Ok(junit::render(receipt)),
            "--markdown" => Ok(exports::markdown(receipt)),
            "--csv" => Ok(exports::csv(receipt)),
            _ if is_svg(to) => Ok(exports::badge_svg(receipt)),
            _ => output::to_json(&exports::badge(receipt)),
        };
        for (flag, to) in self.named() {
            if let Some(to) = to {
                to.write(form(flag, to)?.as_bytes())?;
            }
        }
        in_github(receipt)
    }
}

fn is_svg(to: &Destination) -> bool {
    let Destination::Path(path) = to else {
        return false;
    };
    path.extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("svg"))
}

/// What a workflow of GitHub shows without being asked. Its commands are read on either stream.
fn in_github(receipt: &Receipt) -> Result<(), Failure> {
    if std::env::var_os("GITHUB_ACTIONS").is_none_or(|set| set != "true") {
        return Ok(());
    }
    exports::annotations(receipt).iter().for_each(output::tell);
    let Some(file) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|file| !file.is_empty()) else {
        return Ok(());
    };
    let path = Path::new(&file);
    let opened = OpenOptions::new().create(true).append(true).open(path);
    let written = opened.and_then(|mut file| file.write_all(exports::markdown(receipt).as_bytes()));
    written.map_err(|e| Failure::environment(format!("{}: {e}", path.display())))
}

/// Where findings about a file go.
#[derive(clap::Args, Debug, Clone, Default)]
#[command(next_help_heading = "Output")]
pub struct Sarif {
    /// Write the findings as SARIF, which code scanning shows
    #[arg(long = "sarif", value_name = "FILE|-", display_order = 914)]
    to: Option<Destination>,
}

impl Sarif {
    /// The file it is, beside those that are known.
    pub fn roles(&self, roles: FileRoles) -> Result<FileRoles, Failure> {
        roles.writes("--sarif", self.to.as_ref())
    }

    /// Whether standard output is taken.
    pub fn takes_stdout(&self) -> bool {
        self.to == Some(Destination::Stdout)
    }

    /// Writes them, if it was asked for.
    pub fn write<'f>(
        &self,
        model: &str,
        findings: impl Iterator<Item = &'f Finding>,
    ) -> Result<(), Failure> {
        self.put(|| sarif::render(model, findings))
    }

    /// What was looked at; where nothing could be, that is written as the one result, so that who
    /// sees only the findings sees it, too.
    pub fn looked<T>(&self, at: &str, found: Result<T, Failure>) -> Result<T, Failure> {
        found.map_err(
            |failure| match self.put(|| sarif::refusal(at, &failure.message)) {
                Ok(()) => failure,
                Err(also) => Failure {
                    message: format!("{failure}; {also}"),
                    ..failure
                },
            },
        )
    }

    fn put(&self, document: impl FnOnce() -> Value) -> Result<(), Failure> {
        match &self.to {
            Some(to) => to.write(output::to_json(&document())?.as_bytes()),
            None => Ok(()),
        }
    }
}
