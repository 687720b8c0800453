//! One vocabulary on both sides, from its facts to the last question.

use engine::tokenizer::Tokenizer;
use serde::{Deserialize, Serialize};

use super::draw::Questions;
use super::entries::{self, Entries};
use super::{Pair, Tally, TokenizerUnderTest, corpus};
use crate::case::observation::tokenization::{Answer, Question};
use crate::exit::Failure;
use crate::judge::outcome::{Lost, Outcome};

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
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// The vocabularies; equal and different are 0 where only some questions were asked.
    pub vocabulary: Entries,
    /// The answers.
    pub answers: Tally,
    /// The first question that the other side answers differently when it is asked again.
    pub unsteady: Option<Question>,
    /// Why it ended before all was asked, if it did.
    pub lost: Option<Lost>,
}

/// Compares two tokenizers of the same vocabulary; `tokenizer` is what questions are drawn from.
/// `done` hears how many questions of the plan are answered. What was found before a failure stays.
pub fn examine(
    pair: &mut Pair<'_>,
    tokenizer: &Tokenizer,
    plan: &Plan,
    done: &mut dyn FnMut(u64),
) -> Report {
    let mut report = Report::default();
    let asked = report.ask(pair, tokenizer, plan, done);
    report.lost = asked.err().map(Lost::from);
    report
}

/// A side that says something else when it is asked again, in another order, proves nothing.
fn unsteady(
    side: &mut dyn TokenizerUnderTest,
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
    fn ask(
        &mut self,
        pair: &mut Pair<'_>,
        tokenizer: &Tokenizer,
        plan: &Plan,
        done: &mut dyn FnMut(u64),
    ) -> Result<(), Failure> {
        if !plan.only.is_empty() {
            pair.compare(&plan.only, &mut self.answers)?;
            return Ok(());
        }
        if pair.theirs.describes() {
            entries::compare(pair, &mut self.vocabulary)?;
        }
        let corpus = corpus::questions(tokenizer, &plan.prompts);
        let first = pair.compare(&corpus, &mut self.answers)?;
        self.unsteady = unsteady(pair.theirs, &corpus, &first)?;
        let drawn = Questions::new(tokenizer, &corpus, plan.seed);
        for first in (0..plan.questions).step_by(BATCH as usize) {
            let numbers = first..plan.questions.min(first + BATCH);
            let count = numbers.end - numbers.start;
            let batch: Vec<Question> = numbers.map(|number| drawn.question(number)).collect();
            pair.compare(&batch, &mut self.answers)?;
            done(count);
        }
        Ok(())
    }

    /// What it means.
    pub fn outcome(&self) -> Outcome {
        let tally = &self.answers;
        let differs =
            tally.different > tally.died || self.unsteady.is_some() || !self.vocabulary.agree();
        let found = [
            (differs, Outcome::Divergence),
            (tally.died > 0, Outcome::ReferenceDied),
            (tally.equal == 0, Outcome::Incomplete),
        ];
        Outcome::of(&found, self.lost.as_ref())
    }
}
