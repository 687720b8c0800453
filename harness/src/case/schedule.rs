//! In which portions tokens reach a model: the part of a question that decides the arithmetic.
#![forbid(unsafe_code)]

mod text;

use engine::Token;
use serde::{Deserialize, Serialize};

/// Some arithmetics compute fewer tokens than this in another order than more of them.
pub const LEAST_PORTION: usize = 8;

/// In which portions tokens reach the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Tokens computed together at most.
    pub ubatch: usize,
    /// Threads that compute.
    pub threads: usize,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// One step of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Feeds tokens and keeps the logits of each.
    Feed(Vec<Token>),
    /// Feeds tokens and asks for the logits of the last only, as a chat does with a prompt: what
    /// only the others need is not computed, and a single row is computed in an order of its own.
    Last(Vec<Token>),
    /// Feeds tokens and forgets their logits, but not what they leave in the cache.
    Distract(Vec<Token>),
    /// Forgets every position from this one on.
    Truncate(usize),
}

impl Schedule {
    /// On one thread, in portions as large as they come.
    pub fn of(steps: Vec<Step>) -> Self {
        Schedule {
            ubatch: 512,
            threads: 1,
            steps,
        }
    }

    /// Positions the cache must hold.
    pub fn context(&self) -> usize {
        let (mut used, mut most) = (0, 1);
        for step in &self.steps {
            match step {
                Step::Truncate(len) => used = used.min(*len),
                _ => used += step.tokens().len(),
            }
            most = most.max(used);
        }
        most
    }

    /// Rows of logits that are kept.
    pub fn kept(&self) -> usize {
        self.steps.iter().map(Step::kept).sum()
    }
}

impl Step {
    /// What is fed.
    pub fn tokens(&self) -> &[Token] {
        match self {
            Step::Feed(tokens) | Step::Last(tokens) | Step::Distract(tokens) => tokens,
            Step::Truncate(_) => &[],
        }
    }

    /// The same kind of step with other tokens.
    pub fn with(&self, tokens: Vec<Token>) -> Step {
        match self {
            Step::Feed(_) => Step::Feed(tokens),
            Step::Last(_) => Step::Last(tokens),
            Step::Distract(_) => Step::Distract(tokens),
            Step::Truncate(len) => Step::Truncate(*len),
        }
    }

    /// Rows of logits that are kept.
    pub fn kept(&self) -> usize {
        match self {
            Step::Feed(tokens) => tokens.len(),
            Step::Last(tokens) => tokens.len().min(1),
            Step::Distract(_) | Step::Truncate(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule() -> Schedule {
        Schedule::of(vec![
            Step::Feed(vec![1; 5]),
            Step::Distract(vec![2; 9]),
            Step::Truncate(5),
            Step::Last(vec![3; 4]),
        ])
    }

    #[test]
    fn a_schedule_knows_the_room_it_needs_and_the_rows_it_keeps() {
        assert_eq!((schedule().context(), schedule().kept()), (14, 6));
    }

    #[test]
    fn a_schedule_reads_back_as_it_prints_and_as_json() {
        let words = schedule().to_string();
        assert_eq!(
            words,
            "ubatch=512 threads=1 feed=1*5 distract=2*9 truncate=5 last=3*4"
        );
        assert_eq!(words.parse(), Ok(schedule()));
        let json = serde_json::to_string(&schedule()).expect("plain data");
        assert_eq!(
            serde_json::from_str::<Schedule>(&json).ok(),
            Some(schedule())
        );
    }

    #[test]
    fn words_that_are_no_schedule_say_why() {
        for (words, why) in [
            ("feed", "key=value"),
            ("", "tests nothing"),
            ("distract=1", "tests nothing"),
            ("feed=1 ubatch=0", "at least 1"),
            ("feed=1 threads=x", "no number"),
            ("feed=1.", "no number"),
            ("feed=1*99999999999", "more than"),
            ("feed=1 sing=2", "there are ubatch"),
        ] {
            let refused = words.parse::<Schedule>().expect_err(words);
            assert!(refused.contains(why), "{words}: {refused}");
        }
    }
}
