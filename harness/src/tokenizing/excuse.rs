//! Differences that are known, each by its name, with its reason and a test for it.
#![forbid(unsafe_code)]

use crate::observation::spelling::{Question, Raw, Said};

/// A difference that is known.
#[derive(Debug, Clone, Copy)]
pub struct Excuse {
    /// As in the table.
    pub name: &'static str,
    /// Who does what, and why it is right or cannot be otherwise.
    pub reason: &'static str,
    /// Whether a difference in that way of a question, ours and theirs, is this one.
    pub applies: fn(&Question, usize, &Said, &Said) -> bool,
}

/// All of them.
pub const KNOWN: &[Excuse] = &[Excuse {
    name: "no-utf8",
    reason: "the engine refuses what is no UTF-8 and says at which byte; the reference turns some \
             of it into ids that stand for other bytes",
    applies: |question, _, ours, theirs| {
        is_no_text(question) && matches!((ours, theirs), (Said::Refused(_), Said::Ids(_)))
    },
}];

fn is_no_text(question: &Question) -> bool {
    matches!(question, Question::Text(Raw(bytes)) if std::str::from_utf8(bytes).is_err())
}
