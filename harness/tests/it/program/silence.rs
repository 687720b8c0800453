//! Every way in which whoever computes can give no answer, and every pair of a list: what the
//! tests of outcomes plant, whichever command meets it.

use harness::reference::isolation::{Death, Kind};
use harness::runner::RunError;

/// A way to give no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    Declines,
    KnowsNothing,
    Refuses,
    ComputesNoNumber,
    Dies,
    TimesOut,
    Panics,
}

impl Silence {
    /// The error of it; a panic if it is one.
    pub fn planted(self) -> RunError {
        let words = "planted".to_owned();
        match self {
            Silence::Declines => RunError::Declined(words),
            Silence::KnowsNothing => RunError::NoAnswer(words),
            Silence::Refuses => RunError::Refused(words),
            Silence::ComputesNoNumber => RunError::NotFinite(words),
            Silence::Dies => lost(Kind::Crashed),
            Silence::TimesOut => lost(Kind::Timeout),
            Silence::Panics => panic!("{words}"),
        }
    }
}

fn lost(kind: Kind) -> RunError {
    RunError::Lost(Box::new(Death {
        kind,
        phase: "planted".into(),
        signal: (kind == Kind::Crashed).then_some(11),
        exit_code: None,
        complaint: None,
        assertion: None,
        last_words: String::new(),
        memory_seen: 0,
        milliseconds: 1,
    }))
}

/// Each with each, itself included, in both orders.
pub fn every_pair<T>(all: &[T], mut check: impl FnMut(&T, &T)) {
    for one in all {
        all.iter().for_each(|other| check(one, other));
    }
}
