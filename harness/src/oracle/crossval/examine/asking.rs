//! Asking: a reference once and again, the engine in every arithmetic somebody else computes in.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use crate::case::observation::{Identity, Observation};
use crate::case::{Case, Declared};
use crate::judge::compare::{Incomparable, compare};
use crate::judge::tolerance::Apart;
use crate::judge::verdict::{Verdict, judge};
use crate::reference::isolation::{Death, Kind};
use crate::runner::{RunError, Runner, Subject, Task, guarded};

/// Steps of the continuation that are computed again: a difference between two runs of the same
/// program shows in the logits and nodes before it shows here.
const STEPS_AGAIN: usize = 8;

/// A reference that was asked.
pub struct Asked {
    /// Who it is.
    pub identity: Identity,
    /// Whether it computed just now.
    pub live: bool,
    /// Whether its nodes can be compared with ours.
    pub shows_nodes: bool,
    /// What it saw.
    pub seen: Result<Observation, RunError>,
    /// What it saw when it was run other ways, which must be the same.
    again: Vec<(Identity, Result<Observation, RunError>)>,
}

impl Asked {
    /// Asks once, and, if there is an answer, again.
    pub fn ask(reference: &mut dyn Runner, task: Task<'_>) -> Self {
        let seen = guarded(|| reference.observe(task));
        let mut again = Vec::new();
        if seen.is_ok() {
            let case = &shortened(task.case);
            for mut control in reference.controls(task) {
                let seen = guarded(|| control.observe(Task { case, ..task }));
                again.push((control.identity(), seen));
            }
        }
        Asked {
            // Asked now, because some know who they are only when they have answered.
            identity: reference.identity(),
            live: reference.is_live(),
            shows_nodes: reference.shows_nodes(),
            seen,
            again,
        }
    }

    /// Why its answer certifies nothing, unless every other way of running it gave the same.
    pub fn doubt(&self, case: &Case) -> Option<Verdict> {
        let first = self.seen.as_ref().ok()?;
        let case = &shortened(case);
        let mut declared = case.declared();
        declared.nodes = first.trace.len();
        self.again.iter().find_map(|(identity, again)| {
            let verdict = match again {
                Err(error) => return Some(unrepeated(identity, error)),
                Ok(again) => match compare(case, first, again) {
                    Ok(found) => judge(&found, &found.coverage(declared), Apart::Nothing),
                    Err(why) => Verdict::Incomparable { why },
                },
            };
            let why = || format!("{}: {verdict}", identity.name);
            (verdict != Verdict::Agree).then(|| Verdict::Unsteady { why: why() })
        })
    }

    /// What it died of, in whichever way of running it.
    pub fn death(&self) -> Option<&Death> {
        let again = self.again.iter().map(|(_, seen)| seen);
        std::iter::once(&self.seen)
            .chain(again)
            .find_map(|seen| match seen {
                Err(RunError::Lost(death)) => Some(&**death),
                _ => None,
            })
    }

    /// The answers beside what they repeat.
    pub fn repeated(&self) -> impl Iterator<Item = (&Observation, &Observation)> {
        let first = self.seen.as_ref().ok();
        let again = self.again.iter().filter_map(|(_, seen)| seen.as_ref().ok());
        again.filter_map(move |again| Some((first?, again)))
    }
}

/// What a reference is held to: no nodes where it shows none of ours, and nothing at all where
/// nobody promised that it answers.
pub fn expected(reference: &dyn Runner, case: &Case) -> Declared {
    let promised = !reference.is_live() || case.live.contains(&reference.identity().name);
    match (promised, reference.shows_nodes()) {
        (false, _) => Declared::default(),
        (true, true) => case.declared(),
        (true, false) => case.declared_without_nodes(),
    }
}

/// What the silence of a reference means.
pub fn unanswered(error: &RunError, message: String) -> Verdict {
    let incomparable = |why| Verdict::Incomparable { why };
    match error {
        RunError::NoAnswer(_) => incomparable(Incomparable::NoAnswer(message)),
        RunError::Refused(_) | RunError::NotFinite(_) => {
            incomparable(Incomparable::Refused(message))
        }
        RunError::Declined(_) => Verdict::Declined { message },
        RunError::Lost(death) if death.kind == Kind::Timeout => Verdict::TimedOut { message },
        RunError::Lost(_) | RunError::Died(_) => Verdict::ReferenceDied { message },
    }
}

/// What it means that somebody answered once and not again. Without an answer there is no
/// difference: only who declines what he took part in before is not the same.
fn unrepeated(identity: &Identity, error: &RunError) -> Verdict {
    let why = format!("{}: {error}", identity.name);
    match unanswered(error, why.clone()) {
        end @ (Verdict::TimedOut { .. } | Verdict::ReferenceDied { .. }) => end,
        _ => Verdict::Unsteady { why },
    }
}

/// What is asked again of a case.
pub fn shortened(case: &Case) -> Case {
    Case {
        greedy_steps: case.greedy_steps.min(STEPS_AGAIN),
        ..case.clone()
    }
}

/// The engine under examination, in every arithmetic it was asked for so far.
pub struct Subjects<'a> {
    subject: &'a mut dyn Subject,
    own: Observation,
    others: BTreeMap<String, Option<Observation>>,
}

impl<'a> Subjects<'a> {
    /// Starts with what it saw in its own arithmetic.
    pub fn new(subject: &'a mut dyn Subject, own: Observation) -> Self {
        let others = BTreeMap::new();
        Subjects {
            subject,
            own,
            others,
        }
    }

    /// What it sees in that arithmetic, or in its own if it does not know it.
    pub fn like(&mut self, task: Task<'_>, profile: &str) -> Result<&Observation, RunError> {
        if self.own.identity.profile != profile && !self.others.contains_key(profile) {
            let subject = &mut *self.subject;
            let seen = guarded(|| subject.observe_in(task, profile).transpose())?;
            self.others.insert(profile.to_owned(), seen);
        }
        let other = self.others.get(profile).and_then(Option::as_ref);
        Ok(other.unwrap_or(&self.own))
    }

    /// What it sees in its own arithmetic.
    pub fn own(&self) -> &Observation {
        &self.own
    }
}
