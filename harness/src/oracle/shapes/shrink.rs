//! A trial that differs, made smaller as long as it differs.

use engine::Token;
use serde::Serialize;

use super::{Difference, NodeDifference, Trial};
use crate::case::schedule::{Schedule, Step};
use crate::numbers::shrink::shrink;

/// Questions asked at most: each costs a process of the reference.
const QUESTIONS: usize = 250;

/// The smallest trial found that still differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Smallest {
    /// The number of the trial it was made from.
    pub number: u64,
    /// The model in words.
    pub shape: String,
    /// The one schedule, in words.
    pub schedule: String,
    /// The first logit that differs.
    pub difference: Difference,
    /// The first node whose bits differ, where both sides show theirs.
    pub node: Option<NodeDifference>,
    /// Questions that were asked on the way.
    pub questions: usize,
    /// Whether nothing simpler was left to ask about.
    pub finished: bool,
}

/// The trial made simpler, the schedule first, as long as it differs.
pub(super) fn smallest(
    trial: Trial,
    difference: Difference,
    differs: &mut dyn FnMut(&Trial) -> Option<Difference>,
) -> (Trial, Smallest) {
    let number = trial.number;
    let still_differs = |trial: Trial| differs(&trial).map(|found| (trial, found));
    let start = only(trial, difference);
    let shrunk = shrink(start, simpler, still_differs, QUESTIONS);
    let (trial, difference) = shrunk.smallest;
    let smallest = Smallest {
        number,
        shape: trial.shape.to_string(),
        schedule: trial.schedules[0].to_string(),
        difference,
        node: None,
        questions: shrunk.tried,
        finished: shrunk.finished,
    };
    (trial, smallest)
}

/// The trial with the schedule that differs and no other.
fn only(mut trial: Trial, mut difference: Difference) -> (Trial, Difference) {
    trial.schedules = vec![trial.schedules.swap_remove(difference.schedule)];
    difference.schedule = 0;
    (trial, difference)
}

/// Trials one step simpler: first the schedule, then the model.
fn simpler((trial, difference): &(Trial, Difference)) -> Vec<Trial> {
    let schedule = &trial.schedules[0];
    let with = |schedule: Schedule| Trial {
        schedules: vec![schedule],
        ..trial.clone()
    };
    let schedules = shorter(schedule, difference.row).into_iter().map(with);
    let shapes = trial.shape.smaller().into_iter().map(|shape| Trial {
        schedules: vec![renamed(schedule, shape.vocab)],
        shape,
        ..trial.clone()
    });
    let fits = |trial: &Trial| trial.schedules[0].context() <= trial.shape.context;
    schedules.chain(shapes).filter(fits).collect()
}

/// Shorter schedules that still keep a row, the one that takes away most first.
fn shorter(schedule: &Schedule, row: usize) -> Vec<Schedule> {
    let [mut alone, mut at_once] = [schedule.clone(), schedule.clone()];
    (alone.threads, at_once.ubatch) = (1, 512);
    let all = &schedule.steps;
    let mut cut = vec![until(all, row)];
    cut.extend([all.len() / 2, 1].map(|from| all[from..].to_vec()));
    for (i, step) in all.iter().enumerate().take(2) {
        let tokens = step.tokens();
        for from in [tokens.len() / 2, 1] {
            let mut shorter = all.clone();
            shorter[i] = step.with(tokens[from.min(tokens.len())..].to_vec());
            cut.push(shorter);
        }
    }
    let cut = cut.into_iter().map(|steps| with_steps(schedule, steps));
    let mut found: Vec<Schedule> = [alone, at_once].into_iter().chain(cut).collect();
    found.push(renamed(schedule, 1));
    found.retain(|other| other != schedule && other.kept() > 0 && is_fed(other));
    found
}

/// No step without tokens, but those that forget.
fn is_fed(schedule: &Schedule) -> bool {
    let fed = |step: &Step| matches!(step, Step::Truncate(_)) || !step.tokens().is_empty();
    schedule.steps.iter().all(fed)
}

/// The beginning, up to the row of that number.
fn until(steps: &[Step], row: usize) -> Vec<Step> {
    let (mut kept, mut before) = (Vec::new(), 0);
    for step in steps {
        let more = row + 1 - before;
        if step.kept() >= more {
            kept.push(match step {
                Step::Feed(tokens) => Step::Feed(tokens[..more].to_vec()),
                other => other.clone(),
            });
            return kept;
        }
        before += step.kept();
        kept.push(step.clone());
    }
    kept
}

/// The same schedule among the first `vocab` tokens.
fn renamed(schedule: &Schedule, vocab: usize) -> Schedule {
    let rename = |step: &Step| {
        let tokens = step.tokens().iter();
        step.with(tokens.map(|t| t % vocab as Token).collect())
    };
    with_steps(schedule, schedule.steps.iter().map(rename).collect())
}

fn with_steps(schedule: &Schedule, steps: Vec<Step>) -> Schedule {
    Schedule {
        steps,
        ..schedule.clone()
    }
}
