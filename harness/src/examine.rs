//! One case, examined: every runner is asked, every pair compared, the conclusions drawn.
#![forbid(unsafe_code)]

use std::time::Instant;

use crate::compare::{Findings, Incomparable, compare};
use crate::coverage::Coverage;
use crate::observation::{Identity, Observation};
use crate::receipt::{
    CaseReceipt, Claims, Comparison, Engine, Failed, Measured, Model, Quant, SCHEMA, Status,
    Validation,
};
use crate::runner::{RunError, Runner, Subject, Task, guarded};
use crate::tolerance::Tolerance;
use crate::verdict::Verdict;

/// Examines the first of `subjects` against every reference, and the other subjects, which are
/// the same engine run another way, against the first.
pub fn examine(
    task: Task<'_>,
    subjects: &mut [&mut dyn Subject],
    references: &mut [&mut dyn Runner],
) -> Result<CaseReceipt, Box<Failed>> {
    let started = Instant::now();
    let failed = |error| fail(task, error);
    let (first, others) = subjects
        .split_first_mut()
        .ok_or_else(|| failed(RunError::NoAnswer("no engine was asked".into())))?;
    let facts = guarded(|| first.facts(task)).map_err(failed)?;
    let ours = guarded(|| first.observe(task)).map_err(failed)?;

    let mut measured = Vec::new();
    let mut comparisons = Vec::new();
    for reference in references {
        let seen = guarded(|| reference.observe(task));
        let found = seen
            .map_err(unanswered)
            .and_then(|theirs| compare(task.case, &theirs, &ours).map_err(incomparable));
        let identity = reference.identity();
        let tolerance = Tolerance::between(&identity.profile, &ours.identity.profile);
        let comparison = Comparison::conclude(
            identity,
            reference.is_live(),
            tolerance,
            task.case.declared(),
            found.as_ref().map_err(Clone::clone),
        );
        measured.push(numbers(&comparison.reference, found.ok()));
        comparisons.push(comparison);
    }
    let mut repetitions = Vec::new();
    for other in others {
        let seen = guarded(|| other.observe(task)).map_err(failed)?;
        let found = compare(task.case, &ours, &seen).map_err(incomparable);
        let repetition = repetition(task, &ours, other.identity(), &found);
        measured.push(numbers(&repetition.reference, found.ok()));
        repetitions.push(repetition);
    }
    let mut claims = Claims {
        schema_version: SCHEMA,
        case: task.case.name.clone(),
        prompt: task.case.prompt.clone(),
        model: Model {
            file: task.case.model.clone(),
            sha256: task.model.sha256.clone(),
            architecture: facts.architecture,
        },
        quant: Quant {
            format: facts.format,
            flavor: facts.flavor,
        },
        validation: Validation::rust(),
        engine: engine(&ours, facts.kernel),
        tokens: ours.tokens,
        greedy: ours.greedy.tokens,
        greedy_text: ours.greedy.text,
        comparisons,
        repetitions,
        coverage: Coverage::default(),
        status: Status::Incomplete,
    };
    claims.conclude();
    Ok(CaseReceipt {
        claims,
        measured,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// The same engine run another way: every bit, and every node it shows, whoever else shows it.
fn repetition(
    task: Task<'_>,
    ours: &Observation,
    identity: Identity,
    found: &Result<Findings, Verdict>,
) -> Comparison {
    let mut declared = task.case.declared();
    declared.nodes = ours.trace.len();
    let found = found.as_ref().map_err(Clone::clone);
    Comparison::conclude(identity, false, Tolerance::Exact, declared, found)
}

fn engine(ours: &Observation, kernel: String) -> Engine {
    Engine {
        identity: ours.identity.clone(),
        kernel,
    }
}

fn numbers(with: &Identity, findings: Option<Findings>) -> Measured {
    Measured {
        with: with.name.clone(),
        findings,
    }
}

fn incomparable(why: Incomparable) -> Verdict {
    Verdict::Incomparable { why }
}

/// What a reference's silence means.
fn unanswered(error: RunError) -> Verdict {
    match error {
        RunError::NoAnswer(why) => incomparable(Incomparable::NoAnswer(why)),
        RunError::Refused(why) | RunError::NotFinite(why) => {
            incomparable(Incomparable::Refused(why))
        }
        RunError::Died(message) => Verdict::ReferenceDied { message },
    }
}

/// What the engine's silence means.
fn fail(task: Task<'_>, error: RunError) -> Box<Failed> {
    let status = match &error {
        RunError::NoAnswer(_) => Status::Incomplete,
        RunError::Refused(_) => Status::Refused,
        RunError::NotFinite(_) => Status::Divergence,
        RunError::Died(_) => Status::EngineDied,
    };
    Box::new(Failed::new(task.case, status, error))
}
