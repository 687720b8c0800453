//! What a run comes to: plain data, one status.
#![forbid(unsafe_code)]

use std::time::Duration;

use serde::Serialize;

use super::{Contest, Outcome, Plan, SCHEMA, Smallest, Table, Trial};
use crate::case::observation::Identity;
use crate::exit::Exit;

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
    /// Its number.
    pub number: u64,
    /// The model in words.
    pub shape: String,
    /// Ways through it.
    pub schedules: usize,
    /// What became of it.
    pub outcome: Outcome,
    /// How long both took.
    pub milliseconds: u64,
}

/// All trials of one contest.
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
    pub coverage: Table,
    /// Logits compared.
    pub logits: usize,
    /// Logits of which a bit differs.
    pub differing: usize,
    /// The smallest trial that differs.
    pub smallest: Option<Smallest>,
    /// What it comes to.
    pub status: Status,
}

/// What it all comes to, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Every bit of every logit.
    Agrees,
    /// Less was compared than was to be.
    Incomplete,
    /// The reference died, or had no more time.
    ReferenceDied,
    /// A bit differs, or the engine has no answer where the reference has one.
    Differs,
    /// The engine died.
    EngineDied,
}

impl Report {
    /// Nothing is tried yet.
    pub(super) fn begin(contest: &Contest<'_>, plan: &Plan, mode: Mode) -> Self {
        let (first, count) = plan.range();
        Report {
            schema_version: SCHEMA,
            mode,
            ours: contest.ours.identity(),
            theirs: contest.theirs.identity(),
            first,
            count,
            trials: Vec::new(),
            coverage: Table::new(plan),
            logits: 0,
            differing: 0,
            smallest: None,
            status: Status::Incomplete,
        }
    }

    /// One more trial came to an end.
    pub(super) fn add(&mut self, trial: &Trial, outcome: Outcome, took: Duration) {
        let compared = matches!(outcome, Outcome::Compared(_));
        self.coverage.add(trial, compared);
        if let Outcome::Compared(tally) = &outcome {
            self.logits += tally.logits;
            self.differing += tally.differing;
        }
        self.trials.push(Tried {
            number: trial.number,
            shape: trial.shape.to_string(),
            schedules: trial.schedules.len(),
            outcome,
            milliseconds: took.as_millis() as u64,
        });
        self.status = self.conclude();
    }

    /// The worst of all trials; at best incomplete as long as something is missing.
    fn conclude(&self) -> Status {
        let done = self.trials.len() as u64 == self.count;
        let floor = match done && self.coverage.is_complete() && self.logits > 0 {
            true => Status::Agrees,
            false => Status::Incomplete,
        };
        let worst = self.trials.iter().map(|tried| tried.outcome.status());
        worst.fold(floor, Ord::max)
    }
}

impl Outcome {
    fn status(&self) -> Status {
        match self {
            Outcome::Compared(tally) if tally.differing == 0 => Status::Agrees,
            Outcome::Compared(_) => Status::Differs,
            Outcome::Declined { .. } => Status::Incomplete,
            Outcome::TimedOut { .. } | Outcome::ReferenceDied { .. } => Status::ReferenceDied,
            Outcome::EngineFailed { died: false, .. } => Status::Differs,
            Outcome::EngineFailed { died: true, .. } => Status::EngineDied,
        }
    }
}

impl Status {
    /// As printed.
    pub fn name(self) -> &'static str {
        match self {
            Status::Agrees => "agrees",
            Status::Incomplete => "incomplete",
            Status::ReferenceDied => "reference died",
            Status::Differs => "differs",
            Status::EngineDied => "engine died",
        }
    }

    /// What the process ends with.
    pub fn exit(self) -> Exit {
        match self {
            Status::Agrees => Exit::Agrees,
            Status::Incomplete => Exit::Incomplete,
            Status::ReferenceDied => Exit::ReferenceDied,
            Status::Differs => Exit::Diverges,
            Status::EngineDied => Exit::EngineDied,
        }
    }
}
