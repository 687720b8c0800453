//! One case, examined: every runner is asked, every pair compared, the conclusions drawn.
#![forbid(unsafe_code)]

pub mod asking;

use std::time::Instant;

use self::asking::{Asked, Subjects, expected, shortened, unanswered};
use crate::case::coverage::Coverage;
use crate::case::observation::{Identity, Observation};
use crate::case::{Case, Declared};
use crate::judge::compare::{Findings, Incomparable, compare};
use crate::judge::known_divergences::Ledger;
use crate::judge::outcome::Outcome;
use crate::judge::tolerance::Apart;
use crate::judge::verdict::Verdict;
use crate::receipt::{
    CaseReceipt, Claims, Comparison, Engine, Failed, Measured, Model, Quant, SCHEMA, Validation,
    Witness,
};
use crate::runner::{RunError, Runner, Subject, Task, guarded};

/// Examines the first of `subjects` against every reference, each in its own arithmetic as far as
/// the subject knows it, and the other subjects, which are the same engine run another way,
/// against the first. References that compute now are first compared with themselves, and then
/// with each other and with the recordings.
pub fn examine(
    task: Task<'_>,
    subjects: &mut [&mut dyn Subject],
    references: &mut [&mut dyn Runner],
    known: &Ledger,
) -> Result<CaseReceipt, Box<Failed>> {
    let started = Instant::now();
    let expected = references.iter().map(|r| expected(&**r, task.case));
    let expected: Vec<Declared> = expected.collect();
    let failed = |error| fail(task, error, &expected);
    let (first, others) = subjects
        .split_first_mut()
        .ok_or_else(|| failed(RunError::NoAnswer("no engine was asked".into())))?;
    let facts = guarded(|| first.facts(task)).map_err(failed)?;
    let ours = guarded(|| first.observe(task)).map_err(failed)?;
    let mut ours = Subjects::new(*first, ours);

    let mut pairs = Pairs::new(task);
    let asked: Vec<Asked> = references
        .iter_mut()
        .map(|r| Asked::ask(*r, task))
        .collect();
    let mut comparisons = Vec::new();
    for theirs in &asked {
        let ours = ours.like(task, &theirs.identity.profile).map_err(failed)?;
        comparisons.push(pairs.with_reference(theirs, ours, known));
    }
    let ours = ours.own();
    let mut repetitions = Vec::new();
    for other in others {
        let seen = guarded(|| other.observe(task)).map_err(failed)?;
        repetitions.push(pairs.exact(task.case, ours, &seen, false));
    }
    let short = &shortened(task.case);
    let repeated = asked.iter().flat_map(Asked::repeated);
    let controls = repeated
        .map(|(seen, again)| pairs.exact(short, seen, again, true))
        .collect();
    let witnesses = pairs.among(&asked);
    let mut claims = Claims {
        schema_version: SCHEMA,
        case: task.case.name.clone(),
        prompt: task.case.prompt.clone(),
        model: model(task, facts.architecture),
        quant: Quant {
            format: facts.format,
            flavor: facts.flavor,
        },
        validation: Validation::rust(),
        engine: Engine {
            identity: ours.identity.clone(),
            kernel: facts.kernel,
        },
        tokens: ours.tokens.clone(),
        greedy: ours.greedy.tokens.clone(),
        greedy_text: ours.greedy.text.clone(),
        comparisons,
        repetitions,
        controls,
        witnesses,
        coverage: Coverage::default(),
        status: Outcome::Incomplete,
    };
    claims.conclude();
    Ok(CaseReceipt {
        claims,
        measured: pairs.measured,
        seconds: started.elapsed().as_secs_f64(),
    })
}

fn model(task: Task<'_>, architecture: String) -> Model {
    Model {
        file: task.case.model.clone(),
        sha256: task.model.sha256.clone(),
        architecture,
    }
}

/// Compares pairs of observations and keeps the numbers, in the order of the comparisons.
struct Pairs<'a> {
    task: Task<'a>,
    measured: Vec<Measured>,
}

impl<'a> Pairs<'a> {
    fn new(task: Task<'a>) -> Self {
        let measured = Vec::new();
        Pairs { task, measured }
    }

    /// A reference's answer, or the lack of one, beside ours in the arithmetic nearest to it.
    fn with_reference(&mut self, theirs: &Asked, ours: &Observation, known: &Ledger) -> Comparison {
        let case = self.task.case;
        let found = match (&theirs.seen, theirs.doubt(case)) {
            (Err(error), _) => Err(unanswered(error, error.to_string())),
            (Ok(_), Some(doubt)) => Err(doubt),
            (Ok(seen), None) => compare(case, seen, ours).map_err(incomparable),
        };
        // Who may decline leaves no gap by doing so.
        let optional = !case.live.contains(&theirs.identity.name);
        let declared = match &found {
            Err(Verdict::Declined { .. }) if optional => Default::default(),
            _ if theirs.shows_nodes => case.declared(),
            _ => case.declared_without_nodes(),
        };
        let mut comparison = Comparison::conclude(
            theirs.identity.clone(),
            theirs.live,
            &ours.identity.profile,
            Apart::profiles(&theirs.identity.profile, &ours.identity.profile),
            declared,
            found.as_ref().map_err(Clone::clone),
        );
        let entry = known.about(&case.name, &theirs.identity.name);
        if let (Some(entry), Ok(found)) = (entry, &found) {
            comparison.excuse(&entry.reason, entry.bound, found);
        }
        self.keep(&comparison.reference, found.ok());
        self.measured.last_mut().expect("just kept").death = theirs.death().cloned();
        comparison
    }

    /// The same program run another way: every bit, and every node it shows, whoever else shows it.
    fn exact(
        &mut self,
        case: &Case,
        first: &Observation,
        again: &Observation,
        live: bool,
    ) -> Comparison {
        let mut declared = case.declared();
        declared.nodes = first.trace.len();
        let found = compare(case, first, again).map_err(incomparable);
        let comparison = Comparison::conclude(
            again.identity.clone(),
            live,
            &first.identity.profile,
            Apart::Nothing,
            declared,
            found.as_ref().map_err(Clone::clone),
        );
        self.keep(&comparison.reference, found.ok());
        comparison
    }

    /// Every two references of one arithmetic of which at least one is live.
    fn among(&mut self, asked: &[Asked]) -> Vec<Witness> {
        let case = self.task.case;
        let steady = |a: &&Asked| a.doubt(case).is_none();
        let answers: Vec<_> = asked.iter().filter(steady).collect();
        let mut witnesses = Vec::new();
        for (i, one) in answers.iter().enumerate() {
            for other in &answers[i + 1..] {
                let (Ok(a), Ok(b)) = (&one.seen, &other.seen) else {
                    continue;
                };
                let profile = &other.identity.profile;
                if one.identity.profile != *profile || !(one.live || other.live) {
                    continue;
                }
                let found = compare(case, a, b).map_err(incomparable);
                let with = Comparison::conclude(
                    other.identity.clone(),
                    other.live,
                    profile,
                    Apart::Nothing,
                    case.declared(),
                    found.as_ref().map_err(Clone::clone),
                );
                self.keep(&with.reference, found.ok());
                let name = one.identity.name.clone();
                witnesses.push(Witness { name, with });
            }
        }
        witnesses
    }

    fn keep(&mut self, with: &Identity, findings: Option<Findings>) {
        self.measured.push(Measured {
            with: with.name.clone(),
            findings,
            death: None,
        });
    }
}

fn incomparable(why: Incomparable) -> Verdict {
    Verdict::Incomparable { why }
}

/// What the engine's silence means.
fn fail(task: Task<'_>, error: RunError, expected: &[Declared]) -> Box<Failed> {
    let status = match &error {
        RunError::NoAnswer(_) => Outcome::Incomplete,
        RunError::Refused(_) | RunError::Declined(_) => Outcome::Refused,
        RunError::NotFinite(_) => Outcome::Divergence,
        RunError::Died(_) | RunError::Lost(_) => Outcome::EngineDied,
    };
    Box::new(Failed::new(task.case, status, error, expected))
}
