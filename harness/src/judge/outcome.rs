//! What a comparison, a case or a run comes to: one set of answers, one order, one exit code each.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_variant::to_variant_name;

use crate::exit::{Exit, Failure};

/// Declared from best to worst, so that folding many into one is `max`.
///
/// A divergence outranks every way of not finishing: "stop, it differs" is never hidden behind
/// "ask again, somebody died". Only inputs that changed under the run outrank it, because then
/// nobody knows what differed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything declared was compared and agrees; where there is a live reference, with it.
    Ok,
    /// Everything agrees with recordings; no live reference was asked.
    RustOnly,
    /// Nothing diverges, but less was compared than declared.
    Incomplete,
    /// A reference was asked for and answered nothing.
    ReferenceMissing,
    /// An entry for a known divergence excuses nothing any more.
    StaleEntry,
    /// The reference ended, or ran out of time, before it answered.
    ReferenceDied,
    /// Reading, writing or the environment failed.
    Environment,
    /// An input is not acceptable.
    Refused,
    /// The engine ended before it answered.
    EngineDied,
    /// Something is outside its tolerance, or a check failed.
    Divergence,
    /// An input changed while it was in use: nothing that was compared counts.
    Void,
}

impl Outcome {
    /// All of them, best first.
    pub const ALL: [Outcome; 11] = [
        Outcome::Ok,
        Outcome::RustOnly,
        Outcome::Incomplete,
        Outcome::ReferenceMissing,
        Outcome::StaleEntry,
        Outcome::ReferenceDied,
        Outcome::Environment,
        Outcome::Refused,
        Outcome::EngineDied,
        Outcome::Divergence,
        Outcome::Void,
    ];

    /// What the process ends with. The only place that knows both.
    pub fn exit(self) -> Exit {
        match self {
            Outcome::Ok | Outcome::RustOnly => Exit::Agrees,
            Outcome::Incomplete => Exit::Incomplete,
            Outcome::ReferenceMissing => Exit::ReferenceMissing,
            Outcome::StaleEntry => Exit::StaleEntry,
            Outcome::ReferenceDied => Exit::ReferenceDied,
            Outcome::Environment => Exit::Environment,
            Outcome::Refused | Outcome::Void => Exit::BadInput,
            Outcome::EngineDied => Exit::EngineDied,
            Outcome::Divergence => Exit::Diverges,
        }
    }

    /// As printed and as written in receipts.
    pub fn name(self) -> &'static str {
        to_variant_name(&self).expect("a variant without fields")
    }

    /// The worst of what holds among `found`, and of what ended it early.
    pub fn of(found: &[(bool, Outcome)], lost: Option<&Lost>) -> Outcome {
        let holds = found.iter().filter(|(holds, _)| *holds);
        let outcomes = holds.map(|(_, outcome)| *outcome);
        Outcome::worst(Outcome::Ok, outcomes.chain(lost.map(|lost| lost.outcome)))
    }

    /// The worst of many; `floor` where nothing is worse.
    pub fn worst(floor: Outcome, outcomes: impl IntoIterator<Item = Outcome>) -> Outcome {
        outcomes.into_iter().fold(floor, Ord::max)
    }
}

impl From<Exit> for Outcome {
    /// What a failure on the way comes to beside the results that are there.
    fn from(exit: Exit) -> Self {
        let same = Outcome::ALL.into_iter().find(|o| o.exit() == exit);
        // A failure never agrees, and those of this program itself accuse nobody else.
        same.filter(|o| o.exit() != Exit::Agrees)
            .unwrap_or(Outcome::Environment)
    }
}

/// Why something was not compared to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// What it comes to.
    pub outcome: Outcome,
    /// In words.
    pub why: String,
}

impl Lost {
    /// With that outcome, for that reason.
    pub fn new(outcome: Outcome, why: impl ToString) -> Self {
        let why = why.to_string();
        Lost { outcome, why }
    }
}

impl From<Failure> for Lost {
    fn from(failure: Failure) -> Self {
        Lost::new(failure.exit.into(), failure.message)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Fails unless each end comes to its outcome, and every two of them to the worse.
#[cfg(test)]
pub(crate) fn assert_the_worse_counts<T>(
    ends: &[(T, Outcome)],
    outcome: impl Fn(&[&T]) -> Outcome,
) {
    for (one, expected) in ends {
        assert_eq!(outcome(&[one]), *expected);
        for (other, also) in ends {
            assert_eq!(outcome(&[one, other]), *expected.max(also));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_its_exit_code_and_is_never_agreement() {
        for exit in Outcome::ALL.map(Outcome::exit) {
            let back = Outcome::from(exit).exit();
            let agrees = exit == Exit::Agrees;
            assert_eq!(back, if agrees { Exit::Environment } else { exit });
        }
        assert_eq!(Outcome::from(Exit::HarnessFailed), Outcome::Environment);
        // An input that is refused hides no divergence; one that changed would.
        assert_eq!(Outcome::from(Exit::BadInput), Outcome::Refused);
    }

    #[test]
    fn only_agreement_exits_with_zero() {
        for outcome in Outcome::ALL {
            let agrees = matches!(outcome, Outcome::Ok | Outcome::RustOnly);
            assert_eq!(outcome.exit() == Exit::Agrees, agrees, "{outcome:?}");
        }
    }
}
