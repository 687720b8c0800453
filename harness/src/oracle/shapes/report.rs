//! What a run comes to: plain data, one outcome.

use std::time::Duration;

use serde::Serialize;

use super::{Answers, Coverage, Pair, Plan, SCHEMA, Smallest, Trial};
use crate::case::observation::Identity;
use crate::judge::outcome::Outcome;

/// Against whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A C++ reference that computes now.
    Live,
    /// The engine against itself, which says nothing about parity.
    RustOnly,
}

/// One trial and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tried {
    pub number: u64,
    pub shape: String,
    /// Ways through it.
    pub schedules: usize,
    pub outcome: Answers,
    pub milliseconds: u64,
}

/// All trials of one pair.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The version of this layout.
    pub schema_version: u32,
    /// Against whom.
    pub mode: Mode,
    /// Who was examined.
    pub ours: Identity,
    /// Against whom.
    pub theirs: Identity,
    /// The number of the first trial.
    pub first: u64,
    /// Trials there are to be.
    pub count: u64,
    /// Trials that came to an end.
    pub trials: Vec<Tried>,
    /// What they covered.
    pub coverage: Coverage,
    /// Logits compared.
    pub logits: usize,
    /// Logits of which a bit differs.
    pub differing: usize,
    /// The smallest trial that differs.
    pub smallest: Option<Smallest>,
    /// What it comes to.
    pub status: Outcome,
}

impl Report {
    /// Nothing is tried yet.
    pub(super) fn begin(pair: &Pair<'_>, plan: &Plan, mode: Mode) -> Self {
        Report {
            schema_version: SCHEMA,
            mode,
            ours: pair.ours.identity(),
            theirs: pair.theirs.identity(),
            first: plan.first,
            count: plan.count,
            trials: Vec::new(),
            coverage: Coverage::new(plan),
            logits: 0,
            differing: 0,
            smallest: None,
            status: Outcome::Incomplete,
        }
    }

    /// One more trial came to an end.
    pub(super) fn add(&mut self, trial: &Trial, answers: Answers, took: Duration) {
        let compared = matches!(answers, Answers::Compared(_));
        self.coverage.add(trial, compared);
        if let Answers::Compared(tally) = &answers {
            self.logits += tally.logits;
            self.differing += tally.differing;
        }
        self.trials.push(Tried {
            number: trial.number,
            shape: trial.shape.to_string(),
            schedules: trial.schedules.len(),
            outcome: answers,
            milliseconds: took.as_millis() as u64,
        });
        self.status = self.conclude();
    }

    /// The worst of all trials; at best incomplete as long as something is missing.
    fn conclude(&self) -> Outcome {
        let done = self.trials.len() as u64 == self.count;
        let whole = done && self.coverage.is_complete() && self.logits > 0;
        let floor = match self.mode {
            _ if !whole => Outcome::Incomplete,
            Mode::Live => Outcome::Ok,
            Mode::RustOnly => Outcome::RustOnly,
        };
        let trials = self.trials.iter().map(|tried| tried.outcome.outcome());
        Outcome::worst(floor, trials)
    }
}
