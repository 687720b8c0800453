//! `harness bisect`: the first of many builds, or commits, whose answers are not a good one's.

mod builds;
mod checkout;

use std::path::PathBuf;
use std::time::Duration;

use engine::refusal::escape;
use serde::{Deserialize, Serialize};

use self::builds::Source;
use crate::case::Case;
use crate::command::finish::finish;
use crate::command::flags::{self, Json, OneModel};
use crate::exit::{Exit, Failure};
use crate::file::provenance::{Input, file_name};
use crate::file::reading::Reading;
use crate::io::destination::Destination;
use crate::io::table::{Table, words};
use crate::io::{output, progress};
use crate::oracle::bisect::{Change, End, Found, Question, Tested, search};
use crate::reference::isolation::Limits;
use crate::runner::Task;
use crate::runner::engine::{open, tokenize};

const HELP: &str = "\
Examples:
  harness bisect model.gguf --prompt Ahab --good bitnet --bad bitnet  # exits 2: the same build
  harness bisect model.gguf --prompt Ahab --good bitnet --bad bitnet-portable # exits 1 with AVX-512
  harness bisect model.gguf --prompt Ahab --good bitnet --bad bitnet-portable --within-tier
  harness bisect model.gguf --prompt Ahab --good bitnet --bad bitnet-portable \\
      --dialect bitnet.cpp  # exits 1 with AVX-512

Between two references alone; or in a folder of builds, sorted by name, numbers by their value:
  harness bisect model.gguf --prompt TEXT --builds DIR --good NAME --bad NAME
or in a checkout, along the first parents of a commit. It is only read: commits are built in a clone
beside it, by CMD in its top folder, or without --run as `--reference DIR` builds one:
  harness bisect model.gguf --prompt TEXT --checkout DIR --good v1 --bad main \\
      --run 'git submodule update --init && cmake -B build && cmake --build build -j4'

Each build computes in a process of its own, twice, with the limits that references have. Answers
differ where a bit of a logit or of a node does, or with --within-tier where they lie further apart
than their two arithmetics explain. A build that cannot be built, dies or differs from itself is
passed over; where it could be the first, it is named.
--resume takes over what a --json file of an earlier run found out, for builds that are still the
same. It is written after every build, so a run can be ended at any time.

Exit code 0 where the bad one's answers are the good one's, 1 where the first that differs was
found, 5 where only builds without an answer lie between the two sides.";

/// Find the first build or commit whose answers differ from a good one's
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    model: OneModel,

    /// The text that is computed
    #[arg(short, long, value_name = "TEXT", value_parser = flags::text)]
    prompt: String,

    /// A build, or a commit, whose answers are right
    #[arg(long, value_name = "NAME|DIR|COMMIT")]
    good: String,

    /// A later one whose answers are not
    #[arg(long, value_name = "NAME|DIR|COMMIT")]
    bad: String,

    /// A folder of builds, each in a folder of its own
    #[arg(long, value_name = "DIR")]
    builds: Option<PathBuf>,

    /// A git checkout, whose commits are built
    #[arg(long, value_name = "DIR", conflicts_with = "builds")]
    checkout: Option<PathBuf>,

    /// What builds a commit, run by a shell
    #[arg(long, value_name = "CMD", requires = "checkout")]
    run: Option<String>,

    /// Differences that the two arithmetics explain are none
    #[arg(long)]
    within_tier: bool,

    /// Seconds a build may take to answer
    #[arg(long, value_name = "N", default_value = "120", value_parser = flags::seconds)]
    patience: Duration,

    /// Take over what this result of an earlier run found out
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,

    #[command(flatten)]
    reading: Reading,

    #[command(flatten)]
    json: Json,
}

/// What was asked and what was found, as far as it is known.
#[derive(Serialize)]
struct Report<'r> {
    #[serde(flatten)]
    asked: &'r Asked,
    builds: usize,
    change: Option<&'r Change>,
    tested: &'r [Tested],
}

/// What decides the answers beside the build.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    model: String,
    model_sha256: String,
    prompt: String,
    within_tier: bool,
    /// What a checkout's commits are built by.
    run: Option<String>,
    /// What was said of the file: `--dialect`, `--flavor`.
    #[serde(default)]
    reading: String,
}

/// The part of an earlier result that is taken over.
#[derive(Deserialize)]
struct Earlier {
    #[serde(flatten)]
    asked: Asked,
    tested: Vec<Tested>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let roles = args.json.beside([("the model", args.model.path()?)])?;
    roles.continues(args.resume.as_deref());
    let (input, _) = Input::read(args.model.path()?)?;
    let model = open(&input, args.reading, None)?;
    let tokens = tokenize(&model, &args.prompt)?.len();
    let name = file_name(args.model.path()?);
    let asked = Asked {
        model: name.clone(),
        model_sha256: input.sha256.clone(),
        prompt: args.prompt.clone(),
        within_tier: args.within_tier,
        run: args.run.clone(),
        reading: args.reading.text(),
    };
    let known = args.known(&asked)?;
    let limits = Limits {
        patience: args.patience,
        ..Limits::default()
    };
    let source = args.source(limits)?;
    let builds = source.builds()?;
    let case = Case::of_prompt("prompt", &name, &args.prompt, tokens);
    let question = Question {
        task: Task {
            case: &case,
            model: &input,
        },
        within_tier: args.within_tier,
    };
    let bar = progress::spinner("asking builds");
    let mut keep = |tested: &[Tested]| {
        let report = Report {
            asked: &asked,
            builds: builds.len(),
            change: None,
            tested,
        };
        // One that cannot be written now is complained about at the end.
        if args.json.to.as_ref().is_some_and(Destination::keeps_one) {
            let _ = args.json.write(&report);
        }
        Ok(())
    };
    let mut ask = |at: usize, build: &_| {
        bar.set_message(format!("asking build {} of {}", at + 1, builds.len()));
        source.open(build, args.reading)
    };
    let found = search(&question, &builds, &mut ask, &known, &mut keep)?;
    bar.finish_and_clear();
    input.still_holds()?;
    let report = Report {
        asked: &asked,
        builds: builds.len(),
        change: found.change.as_ref(),
        tested: &found.tested,
    };
    let text = args.text(&found, builds.len());
    finish(found.outcome(), &text, &report, &args.json)
}

impl Args {
    fn source(&self, limits: Limits) -> Result<Source, Failure> {
        match (&self.builds, &self.checkout) {
            (Some(folder), _) => Source::folder(folder, &self.good, &self.bad, limits),
            (None, Some(checkout)) => {
                let run = self.run.as_deref();
                Source::checkout(checkout, &self.good, &self.bad, run, limits)
            }
            (None, None) => Ok(Source::pair(&self.good, &self.bad, limits)),
        }
    }

    /// What an earlier run found out, if it asked the same.
    fn known(&self, asked: &Asked) -> Result<Vec<Tested>, Failure> {
        let Some(path) = &self.resume else {
            return Ok(Vec::new());
        };
        let (_, bytes) = Input::read(path)?;
        let wrong = |why: String| {
            let path = path.display();
            Failure::input(format!("cannot resume {path}: {why}"))
        };
        let earlier: Earlier = serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
        if earlier.asked != *asked {
            return Err(wrong(
                "it asked something else: another model, prompt, reading, --run or --within-tier"
                    .into(),
            ));
        }
        Ok(earlier.tested)
    }

    fn text(&self, found: &Found, builds: usize) -> String {
        let mut table = Table::new(&[words("build"), words("answers")]);
        for Tested { build, end, .. } in &found.tested {
            let end = match end {
                End::Same => "the same".to_owned(),
                End::Differs { first, .. } => format!("OTHERS: {first}"),
                End::NoAnswer { why } => format!("none: {why}"),
            };
            table.row([escape(build), escape(&end)]);
        }
        let asked = found.tested.len();
        let head =
            table.render(output::width()) + &format!("{asked} of {builds} builds are known\n");
        let Some(change) = &found.change else {
            let (good, bad) = (escape(&self.good), escape(&self.bad));
            return head + &format!("{bad} gives the answers of {good}: nothing to find here\n");
        };
        let mut text = head + &format!("the first whose answers differ: {}\n", change.first_other);
        if !change.unknown.is_empty() {
            let unknown = change.unknown.join(", ");
            text += &format!("or one of those before it that give no answer: {unknown}\n");
        }
        text += &format!("the last with the same: {}\n", change.last_same);
        if let Some(node) = &change.node {
            text += &format!("the first node that differs: {node}\n");
        }
        text
    }
}
