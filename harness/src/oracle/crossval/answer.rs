//! What a reference answers, and whether it does so twice; what the engine answers in each
//! arithmetic it is compared in.

use std::collections::BTreeMap;

use crate::case::Case;
use crate::case::coverage::Coverage;
use crate::case::observation::{Identity, Observation};
use crate::case::taken::Taken;
use crate::judge::compare::{Findings, Incomparable, compare};
use crate::judge::demand::Demand;
use crate::judge::tolerance::ArithmeticGap;
use crate::judge::verdict::Verdict;
use crate::receipt::{Comparison, Measured};
use crate::reference::isolation::{Death, Kind};
use crate::runner::{RunError, Runner, Subject, Task, guarded};

/// Steps of the continuation that are computed again: a difference between two runs of the same
/// program shows in the logits and nodes before it shows here.
const STEPS_AGAIN: usize = 8;

/// What a reference answered.
pub struct Answer {
    /// Who it is.
    pub identity: Identity,
    /// Whether it computed just now.
    pub live: bool,
    /// Whether its nodes can be compared with ours.
    pub shows_nodes: bool,
    /// What it saw; a verdict where it saw nothing, or where it does not agree with itself.
    pub seen: Result<Observation, Verdict>,
    /// The same program run other ways, compared with what it saw.
    pub controls: Vec<Concluded>,
    /// What it died of, in whichever way of running it.
    pub death: Option<Death>,
}

/// A comparison and the numbers it follows from.
pub struct Concluded {
    /// What is said about it.
    pub comparison: Comparison,
    /// What it follows from.
    pub measured: Measured,
}

impl Answer {
    /// Asks once, and, if there is an answer, again: a reference that differs from itself
    /// certifies nothing.
    pub fn ask(reference: &mut dyn Runner, task: Task<'_>) -> Self {
        let case = &Case {
            greedy_steps: task.case.greedy_steps.min(STEPS_AGAIN),
            ..task.case.clone()
        };
        let seen = guarded(|| reference.observe(task));
        let mut died = seen.as_ref().err().and_then(death);
        let (mut controls, mut doubt) = (Vec::new(), None);
        if let Ok(seen) = &seen {
            for mut control in reference.controls(task) {
                let why = match guarded(|| control.observe(Task { case, ..task })) {
                    Ok(again) => {
                        let same = same_bits(case, seen, &again, true);
                        let why = unequal(&same.comparison);
                        controls.push(same);
                        why
                    }
                    Err(error) => {
                        died = died.or_else(|| death(&error));
                        Some(unrepeated(&control.identity(), &error))
                    }
                };
                doubt = doubt.or(why);
            }
        }
        let seen = seen.map_err(|error| silence(&error, error.to_string()));
        Answer {
            // Spec now, because some know who they are only when they have answered.
            identity: reference.identity(),
            live: reference.is_live(),
            shows_nodes: reference.shows_nodes(),
            seen: doubt.map_or(seen, Err),
            controls,
            death: died,
        }
    }
}

/// Why an answer certifies nothing, if the same program run another way gave another.
fn unequal(with_itself: &Comparison) -> Option<Verdict> {
    let (name, verdict) = (&with_itself.reference.name, &with_itself.verdict);
    let why = || format!("{name}: {verdict}");
    (*verdict != Verdict::Agree).then(|| Verdict::Unsteady { why: why() })
}

/// What it means that somebody answered once and not again. Without an answer there is no
/// difference: only who declines what he took part in before is not the same.
fn unrepeated(identity: &Identity, error: &RunError) -> Verdict {
    let why = format!("{}: {error}", identity.name);
    match silence(error, why.clone()) {
        end @ (Verdict::TimedOut { .. } | Verdict::ReferenceDied { .. }) => end,
        _ => Verdict::Unsteady { why },
    }
}

/// The same program run another way: every bit, and every node it shows, whoever else shows it.
pub fn same_bits(case: &Case, first: &Observation, again: &Observation, live: bool) -> Concluded {
    let mut declared = case.declared(true);
    declared.nodes.declared = first.trace.len();
    let who = (&again.identity, live);
    let profile = &first.identity.profile;
    let held = Held::exact(profile, declared);
    conclude(who, held, compared(case, first, again))
}

/// What a comparison is held to.
pub struct Held<'a> {
    /// Our arithmetic.
    pub profile: &'a str,
    /// What sets it apart from theirs.
    pub apart: ArithmeticGap,
    /// What is to be compared.
    pub declared: Coverage,
    /// What decides where names do not.
    pub demand: Demand,
}

impl<'a> Held<'a> {
    /// To every bit.
    pub fn exact(profile: &'a str, declared: Coverage) -> Self {
        Held {
            profile,
            apart: ArithmeticGap::Nothing,
            declared,
            demand: Demand::Ladder,
        }
    }
}

/// Two observations side by side, or why they cannot be.
pub fn compared(
    case: &Case,
    theirs: &Observation,
    ours: &Observation,
) -> Result<Findings, Verdict> {
    compare(case, theirs, ours).map_err(|why| Verdict::Incomparable { why })
}

/// What follows from findings, or from their absence.
pub fn conclude(
    (reference, live): (&Identity, bool),
    held: Held<'_>,
    found: Result<Findings, Verdict>,
) -> Concluded {
    let findings = found.as_ref().map_err(Clone::clone);
    let Held {
        profile,
        apart,
        declared,
        demand,
    } = held;
    let who = reference.clone();
    let comparison = Comparison::conclude(who, live, profile, apart, declared, demand, findings);
    let measured = Measured {
        with: comparison.reference.name.clone(),
        findings: found.ok(),
        death: None,
        taken: Taken::default(),
    };
    Concluded {
        comparison,
        measured,
    }
}

/// What a reference is held to: no nodes where it shows none of ours, and nothing at all where
/// nobody promised that it answers.
pub fn expected(reference: &dyn Runner, case: &Case) -> Coverage {
    let promised = !reference.is_live() || case.live.contains(&reference.identity().name);
    if promised {
        case.declared(reference.shows_nodes())
    } else {
        Coverage::default()
    }
}

/// What the silence of a reference means.
fn silence(error: &RunError, message: String) -> Verdict {
    let incomparable = |why| Verdict::Incomparable { why };
    match error {
        RunError::NoAnswer(_) => incomparable(Incomparable::NoAnswer(message)),
        RunError::Refused(_) | RunError::NotFinite(_) => {
            incomparable(Incomparable::Refused(message))
        }
        RunError::Environment(_) => incomparable(Incomparable::Environment(message)),
        RunError::Declined(_) => Verdict::Declined { message },
        RunError::Lost(death) if death.kind == Kind::Timeout => Verdict::TimedOut { message },
        RunError::Lost(_) | RunError::Died(_) => Verdict::ReferenceDied { message },
    }
}

fn death(error: &RunError) -> Option<Death> {
    match error {
        RunError::Lost(death) => Some((**death).clone()),
        _ => None,
    }
}

/// The engine under examination, in every arithmetic it was asked for so far.
pub struct EngineAnswers<'a> {
    subject: &'a mut dyn Subject,
    own: Observation,
    others: BTreeMap<String, Result<Option<Observation>, RunError>>,
}

impl<'a> EngineAnswers<'a> {
    /// Starts with what it saw in its own arithmetic.
    pub fn new(subject: &'a mut dyn Subject, own: Observation) -> Self {
        let others = BTreeMap::new();
        EngineAnswers {
            subject,
            own,
            others,
        }
    }

    /// What it sees in that arithmetic, or in its own if it does not know it.
    pub fn like(&mut self, task: Task<'_>, profile: &str) -> Result<&Observation, RunError> {
        if self.own.identity.profile == profile {
            return Ok(&self.own);
        }
        let subject = &mut *self.subject;
        let ask = || guarded(|| subject.observe_in(task, profile).transpose());
        match self.others.entry(profile.to_owned()).or_insert_with(ask) {
            Ok(seen) => Ok(seen.as_ref().unwrap_or(&self.own)),
            Err(error) => Err(error.clone()),
        }
    }

    /// What it sees in its own arithmetic.
    pub fn own(&self) -> &Observation {
        &self.own
    }
}
