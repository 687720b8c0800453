//! `harness tokenizer`: whether the engine's tokenizer says what a live reference's says.
#![forbid(unsafe_code)]

mod row;
mod subject;

use std::path::PathBuf;

use engine::gguf::Gguf;
use engine::tokenizer::Tokenizer;
use serde::Serialize;

use crate::case::observation::spelling::{Question, Raw};
use crate::exit::{Exit, Failure};
use crate::file::provenance::Input;
use crate::io::atomic;
use crate::io::output;
use crate::io::progress;
use crate::oracle::tokenizer::examine::Plan;
use crate::oracle::tokenizer::table;
use crate::reference::isolation::Limits;
use crate::reference::{self, LiveReference};
use crate::runner::suite::Suite;

use row::{Row, closing, verdict};
use subject::{Subject, subjects};

const HELP: &str = "\
Examples:
  harness tokenizer --reference bitnet
  harness tokenizer --reference bitnet --reference llama --strings 100000 --seed 7
  harness tokenizer --model model.gguf --reference bitnet --text 'it\\x27s 1234\\n'
  harness tokenizer --model model.gguf --reference bitnet --ids 1022,34,392

Each text becomes ids in four ways (special tokens added or not, read in the text or not) and each
list of ids becomes bytes in four ways (pieces or cleaned text, special tokens shown or not); every
answer must be the same, and so must every token of the vocabulary. A difference is made as small
as it can be and printed with the command that shows it again. In texts, \\n, \\\\, \\xff and
\\u{1f40b} stand for characters and bytes.";

/// Version of what `--json` writes.
const SCHEMA: u32 = 1;

/// Compare the engine's tokenizer with a live reference's, on nasty and on random strings
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The model or vocabulary, a GGUF file; may be given several times [default: every model of
    /// the cases, and llama.cpp's vocabularies if scripts/fetch-tokenizer-suite.sh fetched them]
    #[arg(long, value_name = "FILE")]
    model: Vec<PathBuf>,

    /// Against this C++ reference: bitnet, bitnet-portable, ik, llama, or a directory; may be given
    /// several times [default: what BITNET_CPP_DIR names]
    #[arg(long, value_name = "NAME|DIR")]
    reference: Vec<String>,

    /// Random strings and lists of ids for each vocabulary, besides those that are written down
    #[arg(long, value_name = "N", default_value = "2000")]
    strings: u64,

    /// What the random ones are made from
    #[arg(long, value_name = "S", default_value = "1")]
    seed: u64,

    /// Ask about this text only; may be given several times
    #[arg(long, value_name = "ESCAPED", value_parser = str::parse::<Raw>)]
    text: Vec<Raw>,

    /// Ask about these ids only; may be given several times
    #[arg(long, value_name = "ID,...", value_parser = ids)]
    ids: Vec<Question>,

    /// Write what was found here
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// The folder with cases.json [default: fixtures/ here, above, or where this was built]
    #[arg(long, value_name = "DIR")]
    fixtures: Option<PathBuf>,
}

/// What `--json` writes.
#[derive(Serialize)]
struct Summary {
    schema_version: u32,
    strings: u64,
    seed: u64,
    references: Vec<LiveReference>,
    rows: Vec<Row>,
    /// Vocabularies that are not on this machine.
    absent: usize,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    // The time a question may take is bounded; how many there are is asked for.
    let limits = Limits {
        cpu_seconds: 24 * 3600,
        ..Limits::default()
    };
    let references = reference::open_some(&args.reference, limits)?;
    let fixtures = args.fixtures.clone().map_or_else(Suite::find, Ok)?;
    let (subjects, absent) = subjects(&args.model, &fixtures)?;
    let rounds = subjects.len() * references.len();
    let bar = progress::bar(rounds as u64 * args.strings, "strings");
    let mut rows = Vec::new();
    output::put(table::head().as_bytes())?;
    for subject in &subjects {
        let (input, bytes) = Input::read(&subject.path)?;
        let gguf = Gguf::parse(bytes)?;
        let tokenizer = Tokenizer::from_metadata(&gguf.metadata)?;
        let tokenizer = tokenizer.ok_or_else(|| {
            let label = &subject.label;
            Failure::input(format!("{label} says it has no vocabulary (no_vocab)"))
        })?;
        for reference in &references {
            let plan = args.plan(subject);
            let mut done = |count| bar.inc(count);
            let outcome =
                subject.examine(&input, (&gguf, &tokenizer), reference, &plan, &mut done)?;
            let row = Row {
                model: subject.label.clone(),
                model_sha256: input.sha256.clone(),
                reference: reference.facts().name.clone(),
                outcome,
            };
            bar.suspend(|| output::put(row.render(subject).as_bytes()))?;
            rows.push(row);
        }
        input.still_holds()?;
    }
    bar.finish_and_clear();
    output::put(closing(&rows).as_bytes())?;
    if absent > 0 {
        let script = "scripts/fetch-tokenizer-suite.sh";
        let line = format!("skipped {absent} vocabularies that {script} would fetch\n");
        output::put(line.as_bytes())?;
    }
    let exit = verdict(&rows);
    if let Some(path) = &args.json {
        let summary = Summary {
            schema_version: SCHEMA,
            strings: args.strings,
            seed: args.seed,
            references: references.iter().map(|r| r.facts().clone()).collect(),
            rows,
            absent,
        };
        let json = serde_json::to_vec_pretty(&summary).map_err(Failure::environment)?;
        atomic::write(path, &json).map_err(Failure::environment)?;
    }
    exit
}

impl Args {
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
