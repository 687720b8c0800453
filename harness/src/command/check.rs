//! `harness check`: a compatibility lint for model files.

use std::path::Path;

use engine::refusal::escape;
use serde::Serialize;
use serde_json::json;

use crate::command::finish::{Status, finish};
use crate::command::flags::{Json, OneModel, Sarif, Strictness};
use crate::exit::{Exit, Failure};
use crate::file::check::{self, Finding, Lint, Severity, upstream};
use crate::file::opened::Opened;
use crate::file::reading::Reading;
use crate::io::progress;
use crate::judge::outcome::Outcome;

const EXAMPLE: &str = "\
Examples:
  harness check model.gguf
  harness check model.gguf --strict --json  # exits 1: its activation is suspect
  harness check --list

What a file computes, and builds, are the business of `harness doctor`, whose findings are in the
list, too.

Exit code 0 where there are only notes, or warnings outside of strict mode; 1 for errors, and for
warnings in strict mode; 2 where the file cannot be read at all, which --sarif then says.";

/// Look for the mistakes that real model files have
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(flatten)]
    model: OneModel,

    /// Every value is looked at without it as well
    #[arg(long, hide = true)]
    check_finite: bool,

    /// List what is looked for, instead of looking
    #[arg(long, conflicts_with_all = ["model_file", "model"])]
    list: bool,

    #[command(flatten)]
    reading: Reading,

    #[command(flatten)]
    strictness: Strictness,

    #[command(flatten)]
    sarif: Sarif,

    #[command(flatten)]
    json: Json,
}

/// A lint and, where there is one, what it found.
#[derive(Serialize)]
pub(super) struct Entry {
    name: &'static str,
    pub(super) severity: Severity,
    means: String,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) finding: Option<Finding>,
    next_step: &'static str,
    /// Issues of the projects in which users met it.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    upstream: &'static [&'static str],
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    if args.list {
        let lints: Vec<Entry> = Lint::ALL.iter().map(|&lint| entry(lint, None)).collect();
        let listed: String = lints.iter().map(text).collect();
        return finish(Outcome::Ok, &listed, &lints, &args.json);
    }
    let model = args.model.path()?;
    args.sarif.roles(args.json.beside([("--model", model)])?)?;
    let shown = model.display().to_string();
    let found = examined(model, args.reading).and_then(|found| {
        found.0.input.still_holds()?;
        Ok(found)
    });
    let (opened, mut findings) = args.sarif.looked(&shown, found)?;
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.lint.severity()));
    let worst = findings.first().map(|finding| finding.lint.severity());
    let strict_mode = args.strictness.strict;
    let fails = strict_mode || worst == Some(Severity::Error);
    let status = Status::of(worst >= Some(Severity::Warning), fails);
    let findings = findings.into_iter().map(|f| entry(f.lint, Some(f)));
    let findings: Vec<Entry> = findings.collect();
    let text = render(&escape(&shown), &findings, status);
    let report = json!({
        "model": shown,
        "model_sha256": opened.input.sha256,
        "strict_mode": strict_mode,
        "status": status,
        "findings": findings,
    });
    let found = findings.iter().filter_map(|entry| entry.finding.as_ref());
    args.sarif.write(&shown, found)?;
    let text = if args.sarif.takes_stdout() { "" } else { &text };
    finish(status.outcome(), text, &report, &args.json)
}

/// A file, and what every look at it found.
pub(super) fn examined(path: &Path, reading: Reading) -> Result<(Opened, Vec<Finding>), Failure> {
    let bar = progress::bar(0, "looking at tensors");
    let found = Opened::read_and(path, reading, |gguf| {
        check::examine(gguf, reading.flavor, &mut |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        })
    });
    bar.finish_and_clear();
    found
}

pub(super) fn entry(lint: Lint, finding: Option<Finding>) -> Entry {
    Entry {
        name: lint.name(),
        severity: lint.severity(),
        means: lint.sentence(),
        finding,
        next_step: lint.next_step(),
        upstream: upstream::issues(lint),
    }
}

pub(super) fn render(model: &str, findings: &[Entry], status: Status) -> String {
    let mut out: String = findings.iter().map(text).collect();
    let counts = [Severity::Error, Severity::Warning, Severity::Note].map(|severity| {
        let name = severity.name();
        match findings.iter().filter(|f| f.severity == severity).count() {
            1 => format!("1 {name}"),
            n => format!("{n} {name}s"),
        }
    });
    out.push_str(&format!(
        "{model}: {}: {}\n",
        counts.join(", "),
        status.name()
    ));
    out
}

fn text(entry: &Entry) -> String {
    const SHOWN: usize = 3;
    let severity = entry.severity.name();
    let mut out = format!("{severity}[{}]: {}\n", entry.name, entry.means);
    if let Some(finding) = &entry.finding {
        let shown = finding.subjects.iter().take(SHOWN).map(|s| escape(s));
        let shown = shown.collect::<Vec<_>>().join(", ");
        let more = match finding.subjects.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        out.push_str(&format!(
            "  in   {shown}{more}: {}\n",
            escape(&finding.detail)
        ));
    }
    out.push_str(&format!("  next {}\n", entry.next_step));
    if !entry.upstream.is_empty() {
        out.push_str(&format!("  see  {}\n", entry.upstream.join(", ")));
    }
    out
}
