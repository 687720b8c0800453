//! `harness tokenizer`: whether the engine's tokenizer says what a live reference's says.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use engine::gguf::Gguf;
use engine::refusal::escape;
use engine::tokenizer::Tokenizer;
use ffi::reference::{COMMAND, Cache};
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::isolation::{Ended, Limits};
use crate::observation::spelling::{Question, Raw};
use crate::provenance::Input;
use crate::reference::{self, LiveReference, Reference};
use crate::suite::Suite;
use crate::tokenizing::engine::Engine;
use crate::tokenizing::examine::{self, Plan, Report};
use crate::tokenizing::reference::Asked;
use crate::tokenizing::{Pair, excuse, table};
use crate::{atomic, output, progress};

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

/// The vocabularies of llama.cpp's published suite that the engine knows the word rules of.
const SUITE: [&str; 12] = [
    "command-r",
    "deepseek-coder",
    "deepseek-llm",
    "falcon",
    "gpt-2",
    "llama-bpe",
    "llama-spm",
    "mpt",
    "phi-3",
    "qwen2",
    "refact",
    "starcoder",
];

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
}

/// One vocabulary and one reference.
#[derive(Serialize)]
struct Row {
    model: String,
    model_sha256: String,
    reference: String,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Compared(Box<Report>),
    /// The reference does not take part; it is a gap where somebody counted on it.
    Skipped {
        why: String,
        is_gap: bool,
    },
}

/// A vocabulary to be compared.
struct Subject {
    label: String,
    path: PathBuf,
    prompts: Vec<String>,
    expected: Expected,
}

/// Which references must know a vocabulary.
enum Expected {
    All,
    Named(Vec<String>),
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    // The time a question may take is bounded; how many there are is asked for.
    let limits = Limits {
        cpu_seconds: 24 * 3600,
        ..Limits::default()
    };
    let references = reference::open(&args.reference, limits)?;
    if references.is_empty() {
        return Err(missing(format!(
            "no reference is named; to get the usual one, run: {COMMAND}"
        )));
    }
    let subjects = subjects(&args)?;
    let rounds = subjects.len() * references.len();
    let bar = progress::bar(rounds as u64 * args.strings, "strings");
    let mut rows = Vec::new();
    output::put(table::head().as_bytes())?;
    for subject in &subjects {
        let (input, bytes) = Input::read(&subject.path)?;
        let tokenizer = Tokenizer::from_metadata(&Gguf::parse(bytes)?.metadata)?;
        let tokenizer = tokenizer.ok_or_else(|| {
            let label = &subject.label;
            Failure::input(format!("{label} says it has no vocabulary (no_vocab)"))
        })?;
        for reference in &references {
            let plan = args.plan(subject);
            let mut done = |count| bar.inc(count);
            let outcome = subject.examine(&input, &tokenizer, reference, &plan, &mut done)?;
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
    let exit = verdict(&rows, &references);
    if let Some(path) = &args.json {
        let summary = Summary {
            schema_version: SCHEMA,
            strings: args.strings,
            seed: args.seed,
            references: references.iter().map(|r| r.facts().clone()).collect(),
            rows,
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

impl Subject {
    fn examine(
        &self,
        input: &Input,
        tokenizer: &Tokenizer,
        reference: &Reference,
        plan: &Plan,
        done: &mut dyn FnMut(u64),
    ) -> Result<Outcome, Failure> {
        let name = &reference.facts().name;
        let mut theirs = match Asked::open(reference, input) {
            Ok(theirs) => theirs,
            Err(Ended::Refused(why)) => {
                done(plan.questions);
                let is_gap = match &self.expected {
                    Expected::All => true,
                    Expected::Named(names) => names.contains(name),
                };
                return Ok(Outcome::Skipped { why, is_gap });
            }
            Err(Ended::Died(death)) => {
                let exit = Exit::ReferenceDied;
                let message = format!("{}: {name}: {death}", self.label);
                return Err(Failure { exit, message });
            }
        };
        let mut pair = Pair {
            ours: &mut Engine(tokenizer),
            theirs: &mut theirs,
            excuses: excuse::KNOWN,
        };
        let report = examine::examine(&mut pair, tokenizer, plan, done)?;
        Ok(Outcome::Compared(Box::new(report)))
    }
}

impl Row {
    fn render(&self, subject: &Subject) -> String {
        let model = escape(&self.model);
        match &self.outcome {
            Outcome::Compared(report) => {
                let path = subject.path.display();
                let command = format!(
                    "harness tokenizer --model '{path}' --reference {}",
                    self.reference
                );
                let line = table::line(&model, &self.reference, report);
                line + &table::details(report, &command)
            }
            Outcome::Skipped { why, .. } => {
                let why = escape(why.lines().next().unwrap_or_default());
                format!("{model:<22} {:<15} skipped: {why}\n", self.reference)
            }
        }
    }

    fn exit(&self) -> Exit {
        match &self.outcome {
            Outcome::Compared(report) => report.exit(),
            Outcome::Skipped { is_gap: true, .. } => Exit::Incomplete,
            Outcome::Skipped { is_gap: false, .. } => Exit::Agrees,
        }
    }

    fn report(&self) -> Option<&Report> {
        match &self.outcome {
            Outcome::Compared(report) => Some(report),
            Outcome::Skipped { .. } => None,
        }
    }
}

/// What is said below the table.
fn closing(rows: &[Row]) -> String {
    let reports: Vec<&Report> = rows.iter().filter_map(Row::report).collect();
    let differing = reports.iter().map(|r| r.answers.different).sum::<u64>();
    let answers = reports.iter().map(|r| r.answers.answers()).sum::<u64>();
    let (compared, skipped) = (reports.len(), rows.len() - reports.len());
    let excuses = table::excuses(excuse::KNOWN, &reports);
    format!(
        "{excuses}{compared} comparisons, {answers} answers, {differing} differ; {skipped} skipped\n"
    )
}

/// The worst of all rows: what differs weighs more than what is missing. A reference that knew no
/// vocabulary was not there.
fn verdict(rows: &[Row], references: &[Reference]) -> Result<Exit, Failure> {
    let exits: Vec<Exit> = rows.iter().map(Row::exit).collect();
    for exit in [Exit::Diverges, Exit::ReferenceDied] {
        if exits.contains(&exit) {
            return Ok(exit);
        }
    }
    for reference in references {
        let name = &reference.facts().name;
        let own = |row: &&Row| row.reference == *name && row.report().is_some();
        if rows.iter().find(own).is_none() {
            return Err(missing(format!(
                "{name} knew no vocabulary: the rows above say why"
            )));
        }
    }
    Ok(exits.into_iter().max().unwrap_or(Exit::Incomplete))
}

/// The vocabularies asked for; by default all there are.
fn subjects(args: &Args) -> Result<Vec<Subject>, Failure> {
    let folder = args.fixtures.clone().map_or_else(Suite::find, Ok)?;
    let cases = Suite::open(&folder)?.cases;
    let mut prompts: Vec<String> = cases.iter().map(|case| case.prompt.clone()).collect();
    prompts.sort();
    prompts.dedup();
    let subject = |label: &str, path: PathBuf, expected| Subject {
        label: label.to_owned(),
        path,
        prompts: prompts.clone(),
        expected,
    };
    if !args.model.is_empty() {
        let named = args.model.iter().map(|path| {
            let label = path.file_name().unwrap_or_default().to_string_lossy();
            subject(&label, path.clone(), Expected::All)
        });
        return Ok(named.collect());
    }
    let mut models: Vec<&String> = cases.iter().map(|case| &case.model).collect();
    models.sort();
    models.dedup();
    let fixtures = models.into_iter().map(|model| {
        let own = cases.iter().filter(|case| case.model == *model);
        let live = own.flat_map(|case| case.live.iter().cloned()).collect();
        let path = folder.join(model);
        let label = Path::new(model)
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        subject(&label, path, Expected::Named(live))
    });
    let mut subjects: Vec<Subject> = fixtures.collect();
    let suite = Cache::from_environment()
        .map_err(Failure::environment)?
        .tokenizer_suite();
    match suite.is_dir() {
        true => subjects.extend(SUITE.map(|family| {
            let path = suite.join(format!("ggml-vocab-{family}.gguf"));
            subject(family, path, Expected::Named(Vec::new()))
        })),
        false => {
            let script = "scripts/fetch-tokenizer-suite.sh";
            let line = format!(
                "skipped {} vocabularies: {script} fetches them\n",
                SUITE.len()
            );
            output::put(line.as_bytes())?;
        }
    }
    Ok(subjects)
}

fn ids(text: &str) -> Result<Question, String> {
    let id = |part: &str| {
        let id = part.trim().parse();
        id.map_err(|_| format!("{part:?} is no id"))
    };
    let parts = text.split(',').filter(|part| !part.is_empty());
    parts.map(id).collect::<Result<_, _>>().map(Question::Ids)
}

fn missing(message: String) -> Failure {
    let exit = Exit::ReferenceMissing;
    Failure { exit, message }
}
