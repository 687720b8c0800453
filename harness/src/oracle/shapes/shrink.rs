//! A trial that differs, made smaller as long as it differs.
#![forbid(unsafe_code)]

use engine::Token;
use serde::Serialize;

use super::{Difference, NodeDifference, Trial};
use crate::case::schedule::{Schedule, Step};

/// Questions asked at most: each costs a process of the reference.
const QUESTIONS: usize = 250;

/// The smallest trial found that still differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Smallest {
    /// The number of the trial it was made from.
    pub number: u64,
    /// The model in words.
    pub shape: String,
    /// The one way through it, in words.
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

/// Takes the first simplification that still differs, until there is none.
pub(super) fn smallest(
    trial: Trial,
    difference: Difference,
    differs: &mut dyn FnMut(&Trial) -> Option<Difference>,
) -> (Trial, Smallest) {
    let (mut trial, mut difference) = only(trial, difference);
    let (mut questions, mut finished) = (0, false);
    'simpler: while !finished {
        for candidate in simpler(&trial, &difference) {
            if questions == QUESTIONS {
                break 'simpler;
            }
            questions += 1;
            if let Some(found) = differs(&candidate) {
                (trial, difference) = (candidate, found);
                continue 'simpler;
            }
        }
        finished = true;
    }
    let smallest = Smallest {
        number: trial.number,
        shape: trial.shape.to_string(),
        schedule: trial.schedules[0].to_string(),
        difference,
        node: None,
        questions,
        finished,
    };
    (trial, smallest)
}

/// The trial with the schedule that differs and no other.
fn only(trial: Trial, difference: Difference) -> (Trial, Difference) {
    let schedules = vec![trial.schedules[difference.schedule].clone()];
    let schedule = 0;
    let difference = Difference {
        schedule,
        ..difference
    };
    (Trial { schedules, ..trial }, difference)
}

/// Trials one step simpler: first the way through the model, then the model.
fn simpler(trial: &Trial, difference: &Difference) -> Vec<Trial> {
    let way = &trial.schedules[0];
    let with = |schedule: Schedule| Trial {
        schedules: vec![schedule],
        ..trial.clone()
    };
    let ways = shorter(way, difference.row).into_iter().map(with);
    let shapes = trial.shape.smaller().into_iter().map(|shape| Trial {
        schedules: vec![renamed(way, shape.vocab)],
        shape,
        ..trial.clone()
    });
    let fits = |trial: &Trial| trial.schedules[0].context() <= trial.shape.context;
    ways.chain(shapes).filter(fits).collect()
}

/// Shorter schedules that still keep a row, the one that takes away most first.
fn shorter(way: &Schedule, row: usize) -> Vec<Schedule> {
    let steps = |steps: Vec<Step>| Schedule {
        steps,
        ..way.clone()
    };
    let all = &way.steps;
    let mut found = vec![
        steps(until(all, row)),
        Schedule {
            threads: 1,
            ..way.clone()
        },
        Schedule {
            ubatch: 512,
            ..way.clone()
        },
        steps(all[all.len() / 2..].to_vec()),
        steps(all[1..].to_vec()),
    ];
    for (i, step) in all.iter().enumerate().take(2) {
        let len = step.tokens().len();
        for from in [len / 2, 1] {
            let mut shorter = all.clone();
            shorter[i] = fed(step, &step.tokens()[from.min(len)..]);
            found.push(steps(shorter));
        }
    }
    found.push(renamed(way, 1));
    found.retain(|other| other != way && other.kept() > 0 && steady(other));
    found
}

/// No step without tokens, but those that forget.
fn steady(way: &Schedule) -> bool {
    let fed = |step: &Step| matches!(step, Step::Truncate(_)) || !step.tokens().is_empty();
    way.steps.iter().all(fed)
}

/// The beginning, up to the row of that number.
fn until(steps: &[Step], row: usize) -> Vec<Step> {
    let (mut kept, mut before) = (Vec::new(), 0);
    for step in steps {
        let more = row + 1 - before;
        if step.kept() >= more {
            let tokens = match step {
                Step::Feed(tokens) => &tokens[..more],
                other => other.tokens(),
            };
            kept.push(fed(step, tokens));
            return kept;
        }
        before += step.kept();
        kept.push(step.clone());
    }
    kept
}

/// The same kind of step with other tokens.
fn fed(step: &Step, tokens: &[Token]) -> Step {
    let tokens = tokens.to_vec();
    match step {
        Step::Feed(_) => Step::Feed(tokens),
        Step::Last(_) => Step::Last(tokens),
        Step::Distract(_) => Step::Distract(tokens),
        Step::Truncate(_) | Step::Greedy(_) => step.clone(),
    }
}

/// The same schedule among the first `vocab` tokens.
fn renamed(way: &Schedule, vocab: usize) -> Schedule {
    let rename = |step: &Step| {
        let tokens = step.tokens().iter();
        let tokens: Vec<Token> = tokens.map(|t| t % vocab as Token).collect();
        fed(step, &tokens)
    };
    Schedule {
        steps: way.steps.iter().map(rename).collect(),
        ..way.clone()
    }
}
