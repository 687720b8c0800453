//! The vocabularies that are compared, and who is expected to know them.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use engine::gguf::Gguf;
use engine::tokenizer::Tokenizer;
use ffi::reference::Cache;

use super::engine::Engine;
use super::examine::{self, Plan};
use super::reference::Asked;
use super::row::{Ending, Row};
use super::{Pair, excuse, marked};
use crate::case::{self, Case};
use crate::exit::Failure;
use crate::file::provenance::Input;
use crate::judge::outcome::{Lost, Outcome};
use crate::reference::Reference;
use crate::reference::isolation::WorkerExit;

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

/// A vocabulary to be compared.
pub struct Subject {
    /// As in the table.
    pub label: String,
    /// Where it is.
    pub path: PathBuf,
    /// Texts that somebody has asked about before.
    pub prompts: Vec<String>,
    expected: Expected,
}

/// Which references must know a vocabulary.
enum Expected {
    All,
    Named(Vec<String>),
}

/// A vocabulary that was read.
struct Opened {
    input: Input,
    gguf: Gguf,
    tokenizer: Tokenizer,
}

impl Subject {
    /// Compares it with what each reference says. Whatever fails is a row beside the others: what
    /// was found before is kept.
    pub fn examine(
        &self,
        references: &[Reference],
        plan: &Plan,
        done: &mut dyn FnMut(u64),
    ) -> Vec<Row> {
        let row = |sha256: &str, reference: &str, ending| Row {
            model: self.label.clone(),
            model_sha256: sha256.to_owned(),
            again: format!(
                "harness tokenizer --model '{}' --reference {reference}",
                self.path.display()
            ),
            reference: reference.to_owned(),
            ending,
        };
        let opened = match self.open() {
            Ok(opened) => opened,
            Err(failure) => return vec![row("", "", Ending::Lost(failure.into()))],
        };
        let sha256 = &opened.input.sha256;
        let mut rows = Vec::new();
        for reference in references {
            let ending = self.compare(&opened, reference, plan, done);
            let ending = ending.unwrap_or_else(|failure| Ending::Lost(failure.into()));
            rows.push(row(sha256, &reference.facts().name, ending));
        }
        if let Err(changed) = opened.input.still_holds() {
            let lost = Lost::new(Outcome::Void, changed);
            rows.push(row(sha256, "", Ending::Lost(lost)));
        }
        rows
    }

    fn open(&self) -> Result<Opened, Failure> {
        let (input, bytes) = Input::read(&self.path)?;
        let gguf = Gguf::parse(bytes)?;
        let tokenizer = Tokenizer::from_metadata(&gguf.metadata)?.ok_or_else(|| {
            let label = &self.label;
            Failure::input(format!("{label} says it has no vocabulary (no_vocab)"))
        })?;
        Ok(Opened {
            input,
            gguf,
            tokenizer,
        })
    }

    fn compare(
        &self,
        opened: &Opened,
        reference: &Reference,
        plan: &Plan,
        done: &mut dyn FnMut(u64),
    ) -> Result<Ending, Failure> {
        let name = &reference.facts().name;
        let mut theirs = match Asked::open(reference, &opened.input, &opened.gguf) {
            Ok(theirs) => theirs,
            Err(WorkerExit::Refused(why)) => {
                done(plan.questions);
                let is_gap = match &self.expected {
                    Expected::All => true,
                    Expected::Named(names) => names.contains(name),
                };
                return Ok(Ending::Skipped { why, is_gap });
            }
            Err(WorkerExit::Died(death)) => {
                return Ok(Ending::Lost(Lost::new(Outcome::ReferenceDied, death)));
            }
        };
        let api = &reference.hello().api;
        let texts = excuse::control_tokens(api);
        let marked = marked::with_control_tokens(&opened.gguf, &opened.tokenizer, texts)?;
        let tokenizer = marked.as_ref().unwrap_or(&opened.tokenizer);
        let mut pair = Pair {
            ours: &mut Engine(tokenizer),
            theirs: &mut theirs,
            api,
        };
        let report = examine::examine(&mut pair, tokenizer, plan, done);
        Ok(Ending::Compared(Box::new(report)))
    }
}

/// The vocabularies asked for; by default all there are, and how many are not there.
pub fn subjects(models: &[PathBuf], fixtures: &Path) -> Result<(Vec<Subject>, usize), Failure> {
    let (_, bytes) = Input::read(&fixtures.join("cases.json"))?;
    let cases = case::parse(&bytes)?;
    let mut prompts: Vec<String> = cases.iter().map(|case| case.prompt.clone()).collect();
    prompts.sort();
    prompts.dedup();
    let subject = |label: String, path: PathBuf, expected| Subject {
        label,
        path,
        prompts: prompts.clone(),
        expected,
    };
    if !models.is_empty() {
        let named = |path: &PathBuf| subject(file_name(path), path.clone(), Expected::All);
        return Ok((models.iter().map(named).collect(), 0));
    }
    let mut subjects = Vec::new();
    for (path, live) in of_cases(&cases, fixtures) {
        subjects.push(subject(file_name(&path), path, Expected::Named(live)));
    }
    let cache = Cache::from_environment().map_err(Failure::environment)?;
    let suite = cache.tokenizer_suite();
    if !suite.is_dir() {
        return Ok((subjects, SUITE.len()));
    }
    for family in SUITE {
        let path = suite.join(format!("ggml-vocab-{family}.gguf"));
        // What a release does not know of the suite is its right.
        let expected = Expected::Named(Vec::new());
        subjects.push(subject(family.to_owned(), path, expected));
    }
    Ok((subjects, 0))
}

/// The model files of the cases, each with the references that answer one of its cases.
fn of_cases(cases: &[Case], fixtures: &Path) -> Vec<(PathBuf, Vec<String>)> {
    let mut models: Vec<&String> = cases.iter().map(|case| &case.model).collect();
    models.sort();
    models.dedup();
    let live = |model: &String| {
        let own = cases.iter().filter(|case| case.model == *model);
        own.flat_map(|case| case.live.iter().cloned()).collect()
    };
    let with = models
        .into_iter()
        .map(|model| (fixtures.join(model), live(model)));
    with.collect()
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
