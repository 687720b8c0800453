//! Two sources of logits and the bits in which they differ.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::Trial;
use crate::case::observation::TracedNode;
use crate::judge::outcome::Outcome;
use crate::numbers::metrics::ulps;
use crate::reference::isolation::Kind;
use crate::runner::{RunError, Runner, guarded};

/// Two sources of logits that must agree.
pub struct Pair<'a> {
    /// Whose logits are examined.
    pub ours: &'a mut dyn Runner,
    /// What they are held against.
    pub theirs: &'a mut dyn Runner,
}

/// What was compared and how much of it differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    pub logits: usize,
    /// Those of which a bit differs.
    pub differing: usize,
    pub first: Option<Difference>,
}

/// A logit that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    pub schedule: usize,
    /// Which of the rows it keeps.
    pub row: usize,
    pub token: usize,
    pub theirs: u32,
    pub ours: u32,
    /// Numbers between them; none if one is not a number.
    pub ulps: Option<u64>,
}

/// A node that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeDifference {
    /// Its key, the same on both sides.
    pub key: String,
    /// The first element of it that differs.
    pub element: usize,
    pub theirs: u32,
    pub ours: u32,
}

/// What became of a trial, with the reason in words where it was not compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
#[allow(missing_docs)] // `why`
pub enum Answers {
    /// Both answered.
    Compared(Tally),
    /// The reference does not take the model.
    Declined { why: String },
    /// The reference had no more time, which is no difference.
    TimedOut { why: String },
    /// The reference died.
    ReferenceDied { why: String },
    /// The engine has no answer, and perhaps died.
    EngineFailed { why: String, died: bool },
}

impl Answers {
    /// The first logit that differs.
    pub fn difference(&self) -> Option<&Difference> {
        match self {
            Answers::Compared(tally) => tally.first.as_ref(),
            _ => None,
        }
    }

    /// What it comes to.
    pub fn outcome(&self) -> Outcome {
        match self {
            Answers::Compared(tally) if tally.differing == 0 => Outcome::Ok,
            // Where the reference has an answer, none is as wrong as another.
            Answers::Compared(_) | Answers::EngineFailed { died: false, .. } => Outcome::Divergence,
            Answers::Declined { .. } => Outcome::Incomplete,
            Answers::TimedOut { .. } | Answers::ReferenceDied { .. } => Outcome::ReferenceDied,
            Answers::EngineFailed { died: true, .. } => Outcome::EngineDied,
        }
    }
}

impl Pair<'_> {
    /// Asks both about a trial.
    pub fn compare(&mut self, trial: &Trial) -> Answers {
        let file = match trial.file() {
            Ok(file) => file,
            Err(why) => return Answers::EngineFailed { why, died: false },
        };
        let theirs = match ask(self.theirs, &file, trial) {
            Ok(logits) => logits,
            Err(error) => return without_theirs(error),
        };
        match ask(self.ours, &file, trial) {
            Ok(ours) => Answers::Compared(compare(trial.shape.vocab, &theirs, &ours)),
            Err(error) => Answers::EngineFailed {
                why: error.to_string(),
                died: matches!(error, RunError::Died(_)),
            },
        }
    }

    /// The first node of a trial's only schedule whose bits differ, as far as both show theirs.
    pub fn first_node(&mut self, trial: &Trial) -> Option<NodeDifference> {
        let (file, schedule) = (trial.file().ok()?, &trial.schedules[0]);
        // A step of several portions has the same node several times, and each side counts them
        // in its own manner.
        let mut steps = schedule.steps.iter();
        if steps.any(|step| step.tokens().len() > schedule.ubatch) {
            return None;
        }
        let nodes = |source: &mut dyn Runner| guarded(|| source.nodes(&file, schedule)).ok();
        let theirs = nodes(self.theirs)?;
        first_difference(theirs, nodes(self.ours)?)
    }
}

/// The first node, in their order, that has the same key on our side and other bits.
fn first_difference(theirs: Vec<TracedNode>, ours: Vec<TracedNode>) -> Option<NodeDifference> {
    // Every pass has the same nodes: each is paired with the first of its key that is left.
    let mut left: BTreeMap<String, VecDeque<Vec<f32>>> = BTreeMap::new();
    for TracedNode { key, values, .. } in ours {
        left.entry(key).or_default().push_back(values);
    }
    let differs = |TracedNode { key, values, .. }| {
        let ours = left.get_mut(&key)?.pop_front()?;
        let mut pairs = values.iter().zip(&ours);
        let element = pairs.position(|(a, b)| a.to_bits() != b.to_bits())?;
        Some(NodeDifference {
            key,
            element,
            theirs: values[element].to_bits(),
            ours: ours[element].to_bits(),
        })
    };
    theirs.into_iter().find_map(differs)
}

/// Asks, and takes no answer that is shorter than it has to be.
fn ask(source: &mut dyn Runner, file: &[u8], trial: &Trial) -> Result<Vec<Vec<f32>>, RunError> {
    let found = guarded(|| source.logits(file, &trial.schedules))?;
    let wanted = trial.schedules.iter().map(|s| s.kept() * trial.shape.vocab);
    if found.iter().map(Vec::len).eq(wanted) {
        return Ok(found);
    }
    let why = "there are fewer logits than asked for";
    Err(RunError::NoAnswer(why.into()))
}

/// Bit for bit; what is not a number agrees with nothing.
fn compare(width: usize, theirs: &[Vec<f32>], ours: &[Vec<f32>]) -> Tally {
    let mut tally = Tally::default();
    for (schedule, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
        for (i, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
            tally.logits += 1;
            if theirs.to_bits() == ours.to_bits() && theirs.is_finite() {
                continue;
            }
            tally.differing += 1;
            tally.first.get_or_insert(Difference {
                schedule,
                row: i / width,
                token: i % width,
                theirs: theirs.to_bits(),
                ours: ours.to_bits(),
                ulps: ulps([*theirs, *ours]),
            });
        }
    }
    tally
}

fn without_theirs(error: RunError) -> Answers {
    let why = error.to_string();
    match error {
        RunError::Lost(death) if death.kind == Kind::Timeout => Answers::TimedOut { why },
        RunError::Declined(_) => Answers::Declined { why },
        _ => Answers::ReferenceDied { why },
    }
}
