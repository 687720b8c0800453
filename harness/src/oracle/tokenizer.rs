//! Whether two tokenizers say the same: questions made up from a seed, answers compared, and what
//! differs made small.
//!
//! Both sides are a [`TokenizerUnderTest`]; the comparison cannot tell which is which.

mod brought;
mod corpus;
mod draw;
pub mod engine;
mod entries;
pub mod examine;
mod excuse;
mod marked;
pub mod reference;
pub(crate) mod row;
mod shrink;
pub(crate) mod subject;
pub(crate) mod table;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::case::observation::tokenization::{Answer, Question, TokenizerReply, WAYS};
use crate::exit::Failure;
use crate::judge::excuse::{Applied, Excused, find};
use crate::numbers::shrink::shrink;
use crate::reference::isolation::Described;

/// Smaller questions tried at most for one difference; what is left then is small enough.
const BUDGET: usize = 4096;

/// A tokenizer under test: turns texts into ids and ids into bytes.
pub trait TokenizerUnderTest {
    /// The answers, one for each question.
    fn answer(&mut self, questions: &[Question]) -> Result<Vec<Answer>, Failure>;

    /// Whether it says anything of its vocabulary.
    fn describes(&self) -> bool {
        true
    }

    /// What the vocabulary says of itself as a whole and of these tokens: a hash, and where they
    /// are asked for `in_full`, all of them.
    fn describe(&mut self, tokens: Range<usize>, in_full: bool) -> Result<Described, Failure>;
}

/// How the answers to many questions compare. A question has [`WAYS`] answers, each compared.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Texts asked about.
    pub texts: u64,
    /// Lists of ids asked about.
    pub lists: u64,
    /// Ids and bytes in the answers that are equal.
    pub items: u64,
    /// Answers that are equal.
    pub equal: u64,
    /// Questions that neither answers, in so many ways.
    pub refused: u64,
    /// Answers that the other side has no way to give.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_asked: u64,
    /// Answers that differ in a way that is known.
    pub excused: Excused,
    /// Answers that differ.
    pub different: u64,
    /// Those among them where the other side died instead of answering.
    pub died: u64,
    /// Some of those, as small as they could be made. They decide nothing.
    #[serde(skip_deserializing)]
    pub findings: Vec<Finding>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The smallest question found that shows it.
    pub question: Question,
    /// What asks it again.
    pub argument: String,
    /// In which of the ways.
    pub way: &'static str,
    /// Length of the question it was found with, in bytes or ids.
    pub found_in: usize,
    /// What the one side says to it.
    pub ours: TokenizerReply,
    /// What the other side says.
    pub theirs: TokenizerReply,
}

/// Differences that are made small; the others are counted.
const SHRUNK: usize = 8;

/// Both sides of a comparison.
pub struct Pair<'a> {
    /// The one side.
    pub ours: &'a mut dyn TokenizerUnderTest,
    /// The other side.
    pub theirs: &'a mut dyn TokenizerUnderTest,
    /// Which generation of the library's interface the other side has.
    pub api: &'a str,
}

/// How one way of one question compares.
enum Comparison {
    Equal(usize),
    Refused,
    NotAsked,
    Excused(Applied<'static>),
    Different,
}

impl Pair<'_> {
    /// Asks both, adds to the tally, and hands on what the other side said. Whatever was compared
    /// before a failure is in the tally.
    pub fn compare(
        &mut self,
        questions: &[Question],
        tally: &mut Tally,
    ) -> Result<Vec<Answer>, Failure> {
        let ours = self.ours.answer(questions)?;
        let theirs = self.theirs.answer(questions)?;
        for (question, answers) in questions.iter().zip(ours.iter().zip(&theirs)) {
            match question {
                Question::Text(_) => tally.texts += 1,
                Question::Ids(_) => tally.lists += 1,
            }
            let mut shrunk = false;
            for way in 0..WAYS {
                match self.way(question, way, answers) {
                    Comparison::Equal(items) => {
                        tally.equal += 1;
                        tally.items += items as u64;
                    }
                    Comparison::Refused => tally.refused += 1,
                    Comparison::NotAsked => tally.not_asked += 1,
                    Comparison::Excused(applied) => {
                        tally.excused.add(applied, || question.argument());
                    }
                    Comparison::Different => {
                        tally.different += 1;
                        tally.died += u64::from(matches!(answers.1[way], TokenizerReply::Died(_)));
                        // The other ways of a question mostly fail for the same reason.
                        if !shrunk && tally.findings.len() < SHRUNK {
                            self.note(question, way, answers, tally)?;
                            shrunk = true;
                        }
                    }
                }
            }
        }
        Ok(theirs)
    }

    fn way(
        &self,
        question: &Question,
        way: usize,
        (ours, theirs): (&Answer, &Answer),
    ) -> Comparison {
        let (ours, theirs) = (&ours[way], &theirs[way]);
        match (ours, theirs) {
            (TokenizerReply::Ids(_) | TokenizerReply::Bytes(_), _) if ours == theirs => {
                return Comparison::Equal(ours.len());
            }
            // Each says in its own words why.
            (TokenizerReply::Refused(_), TokenizerReply::Refused(_)) => return Comparison::Refused,
            (_, TokenizerReply::NotAsked) => return Comparison::NotAsked,
            _ => {}
        }
        let differing = excuse::Answers {
            api: self.api,
            question,
            ours,
            theirs,
        };
        let found = find(&excuse::of_answers(), &differing);
        found.map_or(Comparison::Different, Comparison::Excused)
    }

    /// Makes a difference small and keeps it, unless the same was found before. A death stays as
    /// it is: every attempt at a smaller one costs a process. A failure ends the search, and what
    /// was found by then is kept.
    fn note(
        &mut self,
        question: &Question,
        way: usize,
        (ours, theirs): (&Answer, &Answer),
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        let mut failed = None;
        let still_differs = |smaller: Question| match self.differs(smaller, way) {
            _ if failed.is_some() => None,
            Ok(found) => found,
            Err(failure) => {
                failed = Some(failure);
                None
            }
        };
        let is_death = matches!(theirs[way], TokenizerReply::Died(_));
        let budget = if is_death { 0 } else { BUDGET };
        let start = (question.clone(), ours[way].clone(), theirs[way].clone());
        let candidates = |(q, ..): &(Question, _, _)| shrink::candidates(q);
        let (small, ours, theirs) = shrink(start, candidates, still_differs, budget).smallest;
        let finding = Finding {
            argument: small.argument(),
            way: small.way(way),
            found_in: question.len(),
            ours,
            theirs,
            question: small,
        };
        let same = |known: &Finding| known.question == finding.question && known.way == finding.way;
        if !tally.findings.iter().any(same) {
            tally.findings.push(finding);
        }
        failed.map_or(Ok(()), Err)
    }

    /// A question with both answers in one way, if they differ.
    fn differs(
        &mut self,
        question: Question,
        way: usize,
    ) -> Result<Option<(Question, TokenizerReply, TokenizerReply)>, Failure> {
        let one = std::slice::from_ref(&question);
        let (ours, theirs) = (self.ours.answer(one)?, self.theirs.answer(one)?);
        let found = self.way(&question, way, (&ours[0], &theirs[0]));
        let differs = matches!(found, Comparison::Different);
        Ok(differs.then(|| (question, ours[0][way].clone(), theirs[0][way].clone())))
    }
}

impl Tally {
    /// Answers compared.
    pub fn answers(&self) -> u64 {
        self.equal + self.refused + self.different + self.excused.total()
    }
}

impl Finding {
    /// The first place where the answers differ, if both are answers.
    pub fn first_difference(&self) -> Option<usize> {
        fn first<T: PartialEq>(ours: &[T], theirs: &[T]) -> Option<usize> {
            let pairs = ours.iter().zip(theirs);
            Some(pairs.take_while(|(a, b)| a == b).count())
        }
        match (&self.ours, &self.theirs) {
            (TokenizerReply::Ids(ours), TokenizerReply::Ids(theirs)) => first(ours, theirs),
            (TokenizerReply::Bytes(ours), TokenizerReply::Bytes(theirs)) => {
                first(&ours.0, &theirs.0)
            }
            _ => None,
        }
    }
}
