//! The vocabularies that are compared, and who is expected to know them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use engine::gguf::Gguf;
use engine::tokenizer::Tokenizer;
use ffi::reference::Cache;

use super::brought::Brought;
use super::engine::Engine;
use super::examine::{self, Plan};
use super::reference::Spec;
use super::row::{Ending, Row};
use super::{Pair, excuse, marked};
use crate::case::{self, ability::Ability};
use crate::exit::Failure;
use crate::file::provenance::{Input, file_name};
use crate::judge::outcome::{Lost, Outcome};
use crate::reference::Reference;
use crate::runner::{self, ModelFile, RunError};

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
    /// By what name its rows go.
    pub label: String,
    pub path: PathBuf,
    /// Texts that somebody has asked about before.
    pub prompts: Vec<String>,
    /// The references that must know it; all of them if none are named.
    expected: Option<Vec<String>>,
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
        let path = self.path.display();
        let row = |sha256: &str, reference: &str, ending| Row {
            model: self.label.clone(),
            model_sha256: sha256.to_owned(),
            again: format!("harness tokenizer --model '{path}' --reference {reference}"),
            reference: reference.to_owned(),
            ending,
        };
        let (input, gguf, tokenizer) = match self.open() {
            Ok(opened) => opened,
            Err(failure) => return vec![row("", "", Ending::Lost(failure.into()))],
        };
        let compared = references.iter().map(|reference| {
            let ending = match Spec::open(reference, &input, &gguf) {
                Ok(theirs) => compare(theirs, reference, (&gguf, &tokenizer), plan, done),
                Err(RunError::Declined(why)) => {
                    done(plan.questions);
                    let name = &reference.facts().name;
                    let is_gap = self.expected.as_ref().is_none_or(|e| e.contains(name));
                    Ok(Ending::Skipped { why, is_gap })
                }
                Err(error) => Err(error.into()),
            };
            let ending = ending.unwrap_or_else(|failure| Ending::Lost(failure.into()));
            row(&input.sha256, &reference.facts().name, ending)
        });
        let mut rows: Vec<Row> = compared.collect();
        if let Err(changed) = input.still_holds() {
            let lost = Lost::new(Outcome::Void, changed);
            rows.push(row(&input.sha256, "", Ending::Lost(lost)));
        }
        rows
    }

    /// Compares it with what engines that were brought say, one by one.
    pub fn examine_brought(
        &self,
        engines: &mut [(String, Box<dyn runner::Subject>)],
        plan: &Plan,
        done: &mut dyn FnMut(u64),
    ) -> Vec<Row> {
        let path = self.path.display();
        let opened = self.open();
        let compared = engines.iter_mut().map(|(spec, engine)| {
            let (sha256, ending) = match &opened {
                Ok((input, _, tokenizer)) => {
                    let ending = ask(&mut **engine, input, tokenizer, plan, done);
                    let lost = |error| Ending::Lost(Failure::from(error).into());
                    (input.sha256.clone(), ending.unwrap_or_else(lost))
                }
                Err(failure) => {
                    let lost = Lost::new(Outcome::Refused, failure);
                    (String::new(), Ending::Lost(lost))
                }
            };
            Row {
                model: self.label.clone(),
                model_sha256: sha256,
                again: format!("harness tokenizer --model '{path}' --subject '{spec}'"),
                reference: engine.identity().name,
                ending,
            }
        });
        compared.collect()
    }

    fn open(&self) -> Result<(Input, Gguf, Tokenizer), Failure> {
        let (input, bytes) = Input::read(&self.path)?;
        let gguf = Gguf::parse(bytes)?;
        let tokenizer = Tokenizer::from_metadata(&gguf.metadata)?.ok_or_else(|| {
            let label = &self.label;
            Failure::input(format!("{label} says it has no vocabulary (no_vocab)"))
        })?;
        Ok((input, gguf, tokenizer))
    }
}

/// Asks an engine that was brought, if it can be asked.
fn ask(
    engine: &mut dyn runner::Subject,
    input: &Input,
    tokenizer: &Tokenizer,
    plan: &Plan,
    done: &mut dyn FnMut(u64),
) -> Result<Ending, RunError> {
    if engine.lacking().contains(&Ability::Tokenize) {
        done(plan.questions);
        let why = "it does not offer to tokenize".into();
        return Ok(Ending::Skipped { why, is_gap: true });
    }
    let mut opened = engine.open(ModelFile::Read(input))?;
    let mut pair = Pair {
        ours: &mut Engine(tokenizer),
        theirs: &mut Brought(&mut *opened),
        api: "",
    };
    let report = examine::examine(&mut pair, tokenizer, plan, done);
    Ok(Ending::Compared(Box::new(report)))
}

fn compare(
    mut theirs: Spec,
    reference: &Reference,
    (gguf, tokenizer): (&Gguf, &Tokenizer),
    plan: &Plan,
    done: &mut dyn FnMut(u64),
) -> Result<Ending, Failure> {
    let api = &reference.hello().api;
    let texts = excuse::control_tokens(api);
    let marked = marked::with_control_tokens(gguf, tokenizer, texts)?;
    let tokenizer = marked.as_ref().unwrap_or(tokenizer);
    let mut pair = Pair {
        ours: &mut Engine(tokenizer),
        theirs: &mut theirs,
        api,
    };
    let report = examine::examine(&mut pair, tokenizer, plan, done);
    Ok(Ending::Compared(Box::new(report)))
}

/// The vocabularies asked for; by default all there are, and how many are not there.
pub fn subjects(models: &[PathBuf], fixtures: &Path) -> Result<(Vec<Subject>, usize), Failure> {
    let (_, bytes) = Input::read(&fixtures.join("cases.json"))?;
    let cases = case::parse(&bytes)?;
    let prompts: BTreeSet<&String> = cases.iter().map(|case| &case.prompt).collect();
    let prompts: Vec<String> = prompts.into_iter().cloned().collect();
    let subject = |label: &str, path: PathBuf, expected| Subject {
        label: label.to_owned(),
        path,
        prompts: prompts.clone(),
        expected,
    };
    if !models.is_empty() {
        let named = |path: &PathBuf| subject(&file_name(path), path.clone(), None);
        return Ok((models.iter().map(named).collect(), 0));
    }
    let files: BTreeSet<&String> = cases.iter().map(|case| &case.model).collect();
    let of_cases = files.into_iter().map(|model| {
        let own = cases.iter().filter(|case| case.model == *model);
        let live = own.flat_map(|case| case.live.iter().cloned()).collect();
        let path = fixtures.join(model);
        subject(&file_name(&path), path, Some(live))
    });
    let mut subjects: Vec<Subject> = of_cases.collect();
    let cache = Cache::from_environment().map_err(Failure::environment)?;
    let suite = cache.tokenizer_suite();
    if !suite.is_dir() {
        return Ok((subjects, SUITE.len()));
    }
    subjects.extend(SUITE.map(|family| {
        let path = suite.join(format!("ggml-vocab-{family}.gguf"));
        // What a release does not know of the suite is its right.
        subject(family, path, Some(Vec::new()))
    }));
    Ok((subjects, 0))
}
