//! One vocabulary on both sides, from its facts to the last question.
#![forbid(unsafe_code)]

use engine::tokenizer::Tokenizer;
use serde::Serialize;

use super::draw::Questions;
use super::entries::{self, Entries};
use super::{Pair, Tally, Tokenizes, corpus};
use crate::case::observation::spelling::{Answer, Question};
use crate::exit::{Exit, Failure};

/// Questions that are made up and asked at once.
const BATCH: u64 = 500;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many questions are made up.
    pub questions: u64,
    /// From what.
    pub seed: u64,
    /// Texts somebody has asked about before.
    pub prompts: Vec<String>,
    /// These and nothing else, if there are any.
    pub only: Vec<Question>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// The vocabularies; equal and different are 0 where only some questions were asked.
    pub vocabulary: Entries,
    /// The answers.
    pub answers: Tally,
    /// The first question that the other side answers differently when it is asked again.
    pub unsteady: Option<Question>,
}

/// Compares two tokenizers of the same vocabulary; `tokenizer` is what questions are drawn from.
/// `done` hears how many questions of the plan are answered.
pub fn examine(
    pair: &mut Pair<'_>,
    tokenizer: &Tokenizer,
    plan: &Plan,
    done: &mut dyn FnMut(u64),
) -> Result<Report, Failure> {
    let mut report = Report::default();
    if !plan.only.is_empty() {
        pair.compare(&plan.only, &mut report.answers)?;
        return Ok(report);
    }
    report.vocabulary = entries::compare(pair)?;
    let corpus = corpus::questions(tokenizer, &plan.prompts);
    let first = pair.compare(&corpus, &mut report.answers)?;
    report.unsteady = unsteady(pair.theirs, &corpus, &first)?;
    let drawn = Questions::new(tokenizer, &corpus, plan.seed);
    for first in (0..plan.questions).step_by(BATCH as usize) {
        let numbers = first..plan.questions.min(first + BATCH);
        let count = numbers.end - numbers.start;
        let batch: Vec<Question> = numbers.map(|number| drawn.question(number)).collect();
        pair.compare(&batch, &mut report.answers)?;
        done(count);
    }
    Ok(report)
}

/// Whoever says something else when asked again, in another order, is no witness.
fn unsteady(
    side: &mut dyn Tokenizes,
    questions: &[Question],
    first: &[Answer],
) -> Result<Option<Question>, Failure> {
    let backwards: Vec<Question> = questions.iter().rev().cloned().collect();
    let again = side.answer(&backwards)?;
    let mut pairs = questions.iter().zip(first.iter().zip(again.iter().rev()));
    let differing = pairs.find(|(_, (one, other))| one != other);
    Ok(differing.map(|(question, _)| question.clone()))
}

impl Report {
    /// What it means.
    pub fn exit(&self) -> Exit {
        if self.unsteady.is_some() || !self.vocabulary.agree() {
            return Exit::Diverges;
        }
        let tally = &self.answers;
        match tally.different - tally.died {
            0 if tally.died > 0 => Exit::ReferenceDied,
            0 if tally.equal == 0 => Exit::Incomplete,
            0 => Exit::Agrees,
            _ => Exit::Diverges,
        }
    }
}
