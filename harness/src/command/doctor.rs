//! `harness doctor`: what is wrong with a file or a build, why, and what mends it.

mod build;
mod speed;

use std::path::{Path, PathBuf};

use engine::Model;
use engine::bytes::Storage;
use engine::config::Config;
use engine::numerics::Profile;
use engine::refusal::escape;
use serde::Serialize;

use super::check::{Entry, entry, examined, render};
use crate::command::finish::{Status, finish};
use crate::command::flags::{Json, OneModel, Sarif, Strictness};
use crate::exit::{Exit, Failure};
use crate::file::check::{Finding, Lint, Severity};
use crate::file::provenance::{checksums, file_name};
use crate::file::reading::Reading;
use crate::file::release::{Listed, Manifest, Release, listed};
use crate::io::progress;
use crate::oracle::word_order::mends::{self, Better, Mend, Mends};
use crate::oracle::word_order::{self, WordOrder};

const EXAMPLE: &str = "\
Examples:
  harness doctor model.gguf
  harness doctor model.gguf --json doctor.json
  harness doctor --build bitnet
  harness doctor model.gguf --build bitnet
  sha256sum model.gguf >known.txt && harness doctor model.gguf --manifest known.txt

A file: all that `harness check` looks at; whether its bytes are a published file's, or those that
--manifest lists under its name; and whether the order of words makes a difference to the model,
which no model that was exchanged, reversed or half-converted survives: an ordinary text in order
and, where that leaves it open, shuffled, in nats a token. Where it knows the text less than well,
usual damages are undone one at a time: every scale inverted; of files up to 16 MiB gate and up, q
and o, k and v, or the norms exchanged.
A build: the instruction sets it says it has; its kernels asked a few questions; a small model's
graph, operation by operation, on the engine's own inputs; whole prompts against single tokens; with
a large file, whether its speed is one that memory allows.

Exit code 0 where there are only notes, or warnings outside of strict mode; 1 for errors, and for
warnings in strict mode; 2 where the file cannot be read, 3 where the build cannot be opened, which
--sarif then says.";

/// Say what is wrong with a file or a build, why, and what mends it
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(flatten)]
    model: OneModel,

    /// A C++ build, by name or directory
    #[arg(long, value_name = "NAME|DIR")]
    build: Option<String>,

    /// Hashes of files that are known to be sound, as sha256sum writes them
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,

    #[command(flatten)]
    reading: Reading,

    #[command(flatten)]
    strictness: Strictness,

    #[command(flatten)]
    sarif: Sarif,

    #[command(flatten)]
    json: Json,
}

/// What was looked at in a file, and what was found.
#[derive(Serialize)]
struct FileReport {
    model: String,
    model_sha256: String,
    /// The published file it is.
    release: Option<Release>,
    /// What the manifest says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    listed: Option<String>,
    /// None where the model does not open, has no vocabulary, or computes no finite numbers.
    word_order: Option<WordOrder>,
    /// None where the model knows its text well.
    mends: Option<Mends>,
    /// Why the model computes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    does_not_open: Option<String>,
    findings: Vec<Entry>,
}

/// What was looked at in a build, and what was found.
#[derive(Serialize)]
struct BuildReport {
    build: String,
    system_info: String,
    /// What was asked, a line each.
    asked: Vec<String>,
    findings: Vec<Entry>,
}

/// Everything.
#[derive(Serialize)]
struct Report {
    file: Option<FileReport>,
    build: Option<BuildReport>,
    strict_mode: bool,
    status: Status,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let model = args.model.typed();
    if model.is_none() && args.build.is_none() {
        return Err(Failure::input(
            "nothing to look at: type FILE, --build or both",
        ));
    }
    let manifest = args.manifest.as_deref();
    let read = [("--model", model), ("--manifest", manifest)];
    let read = read
        .into_iter()
        .filter_map(|(flag, path)| Some((flag, path?)));
    args.sarif.roles(args.json.beside(read)?)?;
    let typed = model.map(|model| model.display().to_string());
    let typed = typed.or(args.build.clone()).unwrap_or_default();
    let mut report = args.sarif.looked(&typed, args.look(model, manifest))?;
    let worst = report.findings().map(|finding| finding.severity).max();
    let fails = report.strict_mode || worst == Some(Severity::Error);
    let status = Status::of(worst >= Some(Severity::Warning), fails);
    report.status = status;
    let found = report.findings().filter_map(|entry| entry.finding.as_ref());
    args.sarif.write(&typed, found)?;
    let text = if args.sarif.takes_stdout() {
        String::new()
    } else {
        report.text()
    };
    finish(status.outcome(), &text, &report, &args.json)
}

impl Args {
    /// Everything but what it comes to.
    fn look(&self, model: Option<&Path>, manifest: Option<&Path>) -> Result<Report, Failure> {
        let manifest = manifest.map(checksums).transpose()?;
        let file = model.map(|model| file(model, self.reading, manifest.as_ref()));
        let file = file.transpose()?;
        let build = self.build.as_deref();
        let build = build.map(|name| build::examine(name, model)).transpose()?;
        Ok(Report {
            file,
            build,
            strict_mode: self.strictness.strict,
            status: Status::Ok,
        })
    }
}

fn file(path: &Path, reading: Reading, manifest: Option<&Manifest>) -> Result<FileReport, Failure> {
    let (opened, mut findings) = examined(path, reading)?;
    let sha256 = opened.input.sha256.clone();
    let release = Release::of_hash(&sha256);
    if let (None, Ok(config)) = (release, Config::from_gguf(&opened.gguf))
        && let Some(other) = Release::of_shape(&config)
    {
        let detail = format!(
            "the shapes of {}, whose sha256 is {}",
            other.name, other.sha256
        );
        findings.push(finding(Lint::NotTheRelease, "the file", detail));
    }
    let listed = manifest.map(|manifest| listed(manifest, path, &sha256));
    if let Some(Listed::Other(other)) = &listed {
        let detail = format!("its sha256 is {sha256}, listed is {other}");
        findings.push(finding(Lint::ManifestMismatch, &file_name(path), detail));
    }
    let waiting = progress::spinner("reading a text");
    let profile = Profile::default();
    let (mut word_order, mut mends, mut does_not_open) = (None, None, None);
    match Model::from_bytes(opened.bytes.clone(), &reading.options(Storage::Read, None)) {
        Ok(model) => {
            word_order = word_order::ask(&model, profile)?;
            let found = word_order.as_ref();
            let asked = found
                .map(|found| mends::ask(&model, profile, found))
                .transpose()?;
            mends = asked.flatten();
        }
        Err(refusal) => does_not_open = Some(refusal.to_string()),
    }
    waiting.finish_and_clear();
    if let Some(found) = word_order.filter(|found| !found.matters()) {
        let detail = words(&found);
        findings.push(finding(Lint::WordOrderIgnored, "the model", detail));
    }
    let better = mends.as_ref().and_then(|mends| mends.better.as_ref());
    findings.extend(
        word_order
            .zip(better)
            .map(|(found, better)| mended(&found, better)),
    );
    opened.input.still_holds()?;
    Ok(FileReport {
        model: path.display().to_string(),
        model_sha256: sha256,
        release,
        listed: listed.map(|listed| listed.to_string()),
        word_order,
        mends,
        does_not_open,
        findings: entries(findings),
    })
}

/// A mend that helps tells what is broken.
fn mended(found: &WordOrder, better: &Better) -> Finding {
    let (before, after) = (found.written, better.surprise);
    let gain = format!("the text then surprises by {after:.2} nats a token instead of {before:.2}");
    let (lint, subjects) = match &better.mend {
        Mend::InvertScales => (Lint::ScaleInverted, vec!["every scale".to_owned()]),
        Mend::Exchange(pairs) => (Lint::TensorsExchanged, pairs.concat()),
    };
    Finding {
        lint,
        subjects,
        detail: gain,
    }
}

fn finding(lint: Lint, subject: &str, detail: String) -> Finding {
    let subjects = vec![subject.to_owned()];
    Finding {
        lint,
        subjects,
        detail,
    }
}

/// Worst first.
fn entries(mut findings: Vec<Finding>) -> Vec<Entry> {
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.lint.severity()));
    let findings = findings.into_iter();
    findings
        .map(|found| entry(found.lint, Some(found)))
        .collect()
}

fn words(found: &WordOrder) -> String {
    let shuffled = found.shuffled;
    let shuffled = shuffled.map_or_else(String::new, |nats| format!(", by {nats:.2} shuffled"));
    format!(
        "{} tokens surprise it by {:.2} nats each as they were written{shuffled}; one of {} at \
         random would by {:.2}",
        found.tokens,
        found.written,
        found.vocab_size,
        found.chance()
    )
}

impl Report {
    /// Of the file and of the build.
    fn findings(&self) -> impl Iterator<Item = &Entry> {
        let file = self.file.iter().flat_map(|file| &file.findings);
        file.chain(self.build.iter().flat_map(|build| &build.findings))
    }

    fn text(&self) -> String {
        let file = self.file.as_ref().map(|file| file.text(self.status));
        let build = self.build.as_ref().map(|build| build.text(self.status));
        let parts: Vec<String> = file.into_iter().chain(build).collect();
        parts.join("\n")
    }
}

impl FileReport {
    fn text(&self, status: Status) -> String {
        let release = match &self.release {
            Some(release) => format!("the published {}", release.name),
            None => "no published file that is known here".into(),
        };
        let order = match (&self.word_order, &self.does_not_open) {
            (Some(found), _) => words(found),
            (None, Some(why)) => format!("not asked, as the model does not open: {}", escape(why)),
            (None, None) => "not known: it has no vocabulary, or a logit is not finite".into(),
        };
        let (model, sha256) = (escape(&self.model), &self.model_sha256);
        let mut head = format!("sha256      {sha256}\nrelease     {release}\n");
        if let Some(listed) = &self.listed {
            head += &format!("manifest    {}\n", escape(listed));
        }
        head += &format!("word order  {order}\n");
        if let Some(Mends {
            known,
            tried,
            better,
        }) = &self.mends
        {
            let better = match better {
                Some(_) => "one helps",
                None => "none helps",
            };
            head += &format!("mends       {tried} of {known} tried, {better}\n");
        }
        head + &render(&model, &self.findings, status)
    }
}

impl BuildReport {
    fn text(&self, status: Status) -> String {
        let mut text = format!("build       {}\n", escape(&self.system_info));
        for line in &self.asked {
            text += &format!("asked       {}\n", escape(line));
        }
        text + &render(&escape(&self.build), &self.findings, status)
    }
}
