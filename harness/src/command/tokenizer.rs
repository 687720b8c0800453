//! `harness tokenizer`: whether the engine's tokenizer says what a live reference's says.

use std::path::PathBuf;

use super::finish::finish;
use crate::case::observation::tokenization::{EscapedBytes, Question};
use crate::command::brought::Brought;
use crate::command::flags;
use crate::command::last_failed::{LastFailed, LastRun};
use crate::command::listed::Listed;
use crate::exit::{Exit, Failure};
use crate::io::{output, progress, threads};
use crate::oracle::tokenizer::examine::Plan;
use crate::oracle::tokenizer::row::{Summary, outcome};
use crate::oracle::tokenizer::subject::{Subject, subjects};
use crate::oracle::tokenizer::table;
use crate::reference::isolation::Limits;
use crate::reference::{self, Reference};
use crate::runner::suite::Suite;

const HELP: &str = "\
Examples:
  harness tokenizer --reference bitnet
  harness tokenizer --reference bitnet --reference llama --strings 100000 --seed 7
  harness tokenizer --model model.gguf --reference bitnet --text 'it\\x27s 1234\\n'
  harness tokenizer --model model.gguf --reference bitnet --ids 1022,34,392
  harness tokenizer --model model.gguf --subject 'serve: python3 my_engine.py'

Each text becomes ids in four ways (special tokens added or not, read in the text or not) and each
list of ids becomes bytes in four ways (pieces or cleaned text, special tokens shown or not); every
answer must be the same, and so must every token of the vocabulary. A difference is made as small
as it can be and printed with the command that shows it again. An engine of one's own is asked for
the ids of texts, special tokens added and read, which is the way its protocol has. In texts, \\n,
\\\\, \\xff and \\u{1f40b} stand for characters and bytes.";

/// Compare the engine's tokenizer with a live reference's, on nasty and on random strings
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    model: flags::Models,

    /// Against this C++ reference: bitnet, bitnet-portable, ik, llama, or a directory; may be given
    /// several times [default: what BITNET_CPP_DIR names]
    #[arg(long, value_name = "NAME|DIR")]
    reference: Vec<String>,

    #[command(flatten)]
    brought: Brought,

    /// Random strings and lists of ids for each vocabulary, besides those that are written down
    #[arg(long, value_name = "N", default_value = "2000", value_parser = flags::count::<u64>)]
    strings: u64,

    /// What the random ones are made from
    #[arg(long, value_name = "S", default_value = "1")]
    seed: u64,

    /// Ask about this text only; may be given several times
    #[arg(long, value_name = "ESCAPED", value_parser = str::parse::<EscapedBytes>)]
    text: Vec<EscapedBytes>,

    /// Ask about these ids only; may be given several times
    #[arg(long, value_name = "ID,...", value_parser = ids)]
    ids: Vec<Question>,

    #[command(flatten)]
    last_failed: LastFailed,

    #[command(flatten)]
    listed: Listed,

    #[command(flatten)]
    sharing: flags::Sharing,

    #[command(flatten)]
    jobs: flags::Jobs,

    #[command(flatten)]
    json: flags::Json,

    /// The folder with cases.json [default: fixtures/ here or above, else built in]
    #[arg(long, value_name = "DIR")]
    fixtures: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let fixtures = args.fixtures.clone().map_or_else(Suite::find, Ok)?;
    let (subjects, absent) = subjects(&args.model.typed(), &fixtures)?;
    let name = |one: &Subject| one.label.clone();
    let mut last = LastRun::of("tokenizer", &fixtures, &args.brought.subject);
    let subjects = args.last_failed.of(&last, subjects, name)?;
    let share = args.sharing.share(&subjects, name);
    let subjects = args.sharing.of("tokenizer", subjects, name);
    if let Some(listed) = args.listed.names(subjects.iter().map(name), &args.json) {
        return listed;
    }
    let read = subjects.iter().map(|one| ("--model", one.path.as_path()));
    args.json.beside(read)?;
    let references = args.references()?;
    let rounds = subjects.len() * (references.len() + args.brought.subject.len());
    let bar = progress::bar(rounds as u64 * args.strings, "strings");
    let again = || {
        let specs = args.brought.subject.iter().map(ToString::to_string);
        let brought: Vec<_> = specs.zip(args.brought.open(None, None)?).collect();
        Ok((args.references()?, brought))
    };
    let work = |(references, brought): &mut (Vec<Reference>, Vec<_>), at: usize| {
        let subject: &Subject = &subjects[at];
        let (plan, mut done) = (args.plan(subject), |count| bar.inc(count));
        let mut rows = subject.examine(references, &plan, &mut done);
        rows.extend(subject.examine_brought(brought, &plan, &mut done));
        rows
    };
    let (jobs, count) = (args.jobs.of(false), subjects.len());
    let mut rows = Vec::new();
    threads::in_order(jobs, count, again()?, again, work, |own| {
        rows.extend(own);
        Ok::<bool, Failure>(true)
    })?;
    bar.finish_and_clear();
    last.ended(rows.iter().map(|row| (row.model.clone(), row.outcome())));
    let summary = Summary {
        schema_version: 2,
        outcome: outcome(&rows),
        strings: args.strings,
        seed: args.seed,
        references: references.iter().map(|r| r.facts().clone()).collect(),
        rows,
        absent,
        share,
    };
    let text = table::render(&summary, output::width());
    finish(summary.outcome, &text, &summary, &args.json)
}

impl Args {
    /// The references; one is needed where nobody brought an engine.
    fn references(&self) -> Result<Vec<Reference>, Failure> {
        // The time a question may take is bounded; how many there are is asked for.
        let limits = Limits::with_cpu_seconds(24 * 3600);
        if self.brought.subject.is_empty() {
            reference::open_some(&self.reference, limits)
        } else {
            reference::open(&self.reference, limits)
        }
    }

    fn plan(&self, subject: &Subject) -> Plan {
        let texts = self.text.iter().cloned().map(Question::Text);
        Plan {
            questions: self.strings,
            seed: self.seed,
            prompts: subject.prompts.clone(),
            only: texts.chain(self.ids.iter().cloned()).collect(),
        }
    }
}

fn ids(text: &str) -> Result<Question, String> {
    let id = |part: &str| {
        let id = part.trim().parse();
        id.map_err(|_| format!("{part:?} is no id"))
    };
    let parts = text.split(',').filter(|part| !part.is_empty());
    parts.map(id).collect::<Result<_, _>>().map(Question::Ids)
}
