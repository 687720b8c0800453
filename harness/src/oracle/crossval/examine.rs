//! One case, examined: every runner is asked, every pair compared, the conclusions drawn.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use engine::Token;

use crate::case::Case;
use crate::case::ability::{Ability, Lacking};
use crate::case::coverage::Coverage;
use crate::case::model::ModelFacts;
use crate::case::observation::{Identity, Lane, Logits, Observation};
use crate::file::provenance::Hash;
use crate::io::threads;
use crate::judge::compare::Findings;
use crate::judge::demand::Demand;
use crate::judge::detail;
use crate::judge::error_ratio::ErrorRatios;
use crate::judge::known_divergences::Ledger;
use crate::judge::outcome::Outcome;
use crate::judge::tolerance::ArithmeticGap;
use crate::judge::verdict::Verdict;
use crate::oracle::crossval::answer::{
    Answer, Concluded, EngineAnswers, Held, compared, conclude, expected, same_bits,
};
use crate::receipt::{
    CaseReceipt, Claims, Comparison, Engine, Failed, Measured, Model, SCHEMA, Validation, Witness,
};
use crate::runner::{Facts, RunError, Runner, Subject, Task, guarded};

/// Examines the first of `subjects` against every reference, each in its own arithmetic as far as
/// the subject knows it, and the other subjects, which are the same engine run another way,
/// against the first. References that compute now are first compared with themselves, and then
/// with each other and with the recordings. What was found before the engine failed is kept. The
/// errors of both sides are those against the `exact` run, if there is one.
pub fn examine(
    task: Task<'_>,
    subjects: &mut [&mut dyn Subject],
    references: &mut [&mut dyn Runner],
    exact: Option<&mut dyn Runner>,
    known: &Ledger,
) -> Result<CaseReceipt, Box<Failed>> {
    let started = Instant::now();
    let held: Vec<Coverage> = references
        .iter()
        .map(|r| expected(&**r, task.case))
        .collect();
    let failed = |error: RunError| {
        let outcome = of_engine(&error);
        Box::new(Failed::new(task.case, outcome, error, &held))
    };
    let (first, others) = subjects
        .split_first_mut()
        .ok_or_else(|| failed(RunError::NoAnswer("no engine was asked".into())))?;
    let mut facts = guarded(|| first.facts(task)).map_err(failed)?;
    let own = guarded(|| first.observe(task)).map_err(failed)?;
    if own.identity.brought().is_some() && own.trace.len() < task.case.nodes {
        facts.lacking.insert(Ability::EveryNode);
    }
    let (lacking, demand) = (facts.lacking.clone(), first.demand());
    let exact = exact.map(|exact| guarded(|| exact.observe(task)));
    let exact = exact.transpose().map_err(failed)?;
    let mut engine = EngineAnswers::new(*first, own);

    let mut kept = Kept(Vec::new());
    let away = elsewhere(task, others);
    let compare = || {
        let ask = |r: &mut &mut dyn Runner| Answer::ask(*r, task);
        let answers: Vec<Answer> = references.iter_mut().map(ask).collect();
        let mut comparisons = Vec::new();
        for theirs in &answers {
            let ours = engine.like(task, &theirs.identity.profile);
            let ours = ours.map(|ours| Ours {
                seen: ours,
                exact: exact.as_ref(),
                lacking: &lacking,
                demand: &demand,
            });
            comparisons.push(kept.keep(with_reference(task, theirs, ours, known)));
        }
        (answers, comparisons)
    };
    let (away, (mut answers, comparisons)) = threads::beside(|| away.map(|seen| seen()), compare);
    let again =
        away.unwrap_or_else(|| observed(task, others.iter_mut().map(|other| &mut **other as _)));
    let repetitions = repeated(task, engine.own(), again, &mut kept);
    let controls = answers
        .iter_mut()
        .flat_map(|a| std::mem::take(&mut a.controls));
    let controls = controls.map(|control| kept.keep(control)).collect();
    let witnesses = kept.among(task.case, &answers);
    let mut claims = claims(task, facts, engine.own());
    claims.comparisons = comparisons;
    claims.repetitions = repetitions;
    claims.controls = controls;
    claims.witnesses = witnesses;
    claims.conclude();
    Ok(CaseReceipt {
        texts: texts(task, *first, &claims, &kept.0),
        claims,
        measured: kept.0,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// Who saw something, or did not.
type Observed = (Identity, Result<Observation, RunError>);

/// What observes as these do, on another thread, if all of them can be there.
fn elsewhere<'t>(
    task: Task<'t>,
    others: &[&mut dyn Subject],
) -> Option<impl FnOnce() -> Vec<Observed> + Send + use<'t>> {
    let away: Option<Vec<_>> = others.iter().map(|other| other.elsewhere()).collect();
    away.map(|mut away| move || observed(task, away.iter_mut().map(|other| &mut **other as _)))
}

/// What each of them sees of a case.
fn observed<'s>(
    task: Task<'_>,
    others: impl Iterator<Item = &'s mut dyn Subject>,
) -> Vec<Observed> {
    let observed = others.map(|other| (other.identity(), guarded(|| other.observe(task))));
    observed.collect()
}

/// The texts of the prompt's tokens, and of those that either side would choose.
fn texts(
    task: Task<'_>,
    engine: &mut dyn Subject,
    claims: &Claims,
    measured: &[Measured],
) -> BTreeMap<Token, String> {
    let found = measured.iter().filter_map(|one| one.findings.as_ref());
    let positions = found.flat_map(|found| found.lanes.iter().flat_map(|lane| &lane.positions));
    let likely = positions.flat_map(|position| &position.detail.likeliest);
    let tokens = claims.tokens.iter().copied();
    let tokens: BTreeSet<Token> = tokens.chain(likely.map(|likely| likely.token)).collect();
    let tokens: Vec<Token> = tokens.into_iter().collect();
    let texts = engine.texts(task, &tokens);
    tokens.into_iter().zip(texts).collect()
}

/// What the same engine saw when it was run other ways, compared with what it saw first.
fn repeated(
    task: Task<'_>,
    ours: &Observation,
    again: Vec<Observed>,
    kept: &mut Kept,
) -> Vec<Comparison> {
    let mut repetitions = Vec::new();
    for (identity, again) in again {
        let same = match again {
            Ok(again) => {
                let mut same = same_bits(task.case, ours, &again, false);
                same.measured.taken = again.taken;
                same
            }
            Err(error) => {
                let declared = task.case.declared(true);
                let held = Held::exact(&ours.identity.profile, declared);
                engine_failed((&identity, false), held, error)
            }
        };
        repetitions.push(kept.keep(same));
    }
    repetitions
}

/// What is known about a case before anything was compared.
fn claims(task: Task<'_>, facts: Facts, ours: &Observation) -> Claims {
    let ModelFacts {
        architecture,
        quant,
        vocabulary,
    } = facts.model;
    let engine = Engine {
        identity: ours.identity.clone(),
        kernel: facts.kernel,
        multiplied_by: facts.multiplied_by,
        lacking: facts.lacking,
    };
    Claims {
        schema_version: SCHEMA,
        case: task.case.name.clone(),
        prompt: task.case.prompt.clone(),
        model: Model {
            file: task.case.model.clone(),
            sha256: task.model.sha256.clone(),
            architecture,
        },
        validation: Validation::of(&engine, &quant),
        quant,
        tokenizer: vocabulary,
        engine,
        tokens: ours.tokens.clone(),
        greedy: ours.greedy.tokens.clone(),
        greedy_text: ours.greedy.text.clone(),
        outputs: outputs(ours),
        unrecorded: task.case.unrecorded,
        comparisons: Vec::new(),
        repetitions: Vec::new(),
        controls: Vec::new(),
        witnesses: Vec::new(),
        coverage: Coverage::default(),
        status: Outcome::Incomplete,
    }
}

/// What binds a receipt to the outputs it was made of.
fn outputs(ours: &Observation) -> BTreeMap<Lane, String> {
    let digest = |(lane, logits): (&Lane, &Logits)| {
        let mut hash = Hash::default();
        hash.add(&logits.values);
        (*lane, hash.hex())
    };
    ours.lanes.iter().map(digest).collect()
}

/// What the subject saw, of all it can see, and what it is held to.
struct Ours<'a> {
    seen: &'a Observation,
    /// What both sides approximate.
    exact: Option<&'a Observation>,
    lacking: &'a Lacking,
    demand: &'a Demand,
}

impl Ours<'_> {
    /// Compared with what a reference saw, as far as it was offered.
    fn compared(&self, case: &Case, theirs: &Observation) -> Result<Findings, Verdict> {
        let part;
        let theirs = if self.lacking.is_empty() {
            theirs
        } else {
            part = theirs.without(self.lacking, self.seen);
            &part
        };
        let mut found = compared(case, theirs, self.seen)?;
        self.demand.look(&mut found, theirs, self.seen);
        let same_question = found.tokens.first_difference.is_none();
        let exact = self
            .exact
            .filter(|exact| same_question && exact.tokens == theirs.tokens);
        found.errors = exact.map(|exact| ErrorRatios::of(exact, theirs, self.seen));
        detail::add(&mut found, case, theirs, self.seen);
        Ok(found)
    }
}

/// A reference's answer, or the lack of one, beside ours in the arithmetic nearest to it.
fn with_reference(
    task: Task<'_>,
    theirs: &Answer,
    ours: Result<Ours<'_>, RunError>,
    known: &Ledger,
) -> Concluded {
    let Answer { identity, live, .. } = theirs;
    let case = task.case;
    let who = (identity, *live);
    // Who may decline leaves no gap by doing so.
    let optional = !case.live.contains(&identity.name);
    let declared = match &theirs.seen {
        Err(Verdict::Declined { .. }) if optional => Coverage::default(),
        _ => {
            let none = Lacking::new();
            let lacking = ours.as_ref().map_or(&none, |ours| ours.lacking);
            case.declared_without(lacking, theirs.shows_nodes)
        }
    };
    let ours = match ours {
        Ok(ours) => ours,
        Err(error) => {
            return engine_failed(who, Held::exact(&identity.profile, declared), error);
        }
    };
    let seen = theirs.seen.as_ref().map_err(Clone::clone);
    let found = seen.and_then(|seen| ours.compared(case, seen));
    let profile = &ours.seen.identity.profile;
    let held = Held {
        profile,
        apart: ArithmeticGap::profiles(&identity.profile, profile),
        declared,
        demand: ours.demand.clone(),
    };
    let mut with = conclude(who, held, found);
    let entry = known.about(&case.name, &task.model.sha256, &identity.name);
    if let (Some(entry), Some(found)) = (entry, &with.measured.findings) {
        with.comparison.excuse(&entry.reason, entry.bound, found);
    }
    with.measured.death.clone_from(&theirs.death);
    with.measured.taken.clone_from(&ours.seen.taken);
    with
}

fn engine_failed(who: (&Identity, bool), held: Held<'_>, error: RunError) -> Concluded {
    let failed = Verdict::EngineFailed {
        how: of_engine(&error),
        message: error.to_string(),
    };
    conclude(who, held, Err(failed))
}

/// The numbers, in the order of the comparisons.
struct Kept(Vec<Measured>);

impl Kept {
    fn keep(&mut self, concluded: Concluded) -> Comparison {
        self.0.push(concluded.measured);
        concluded.comparison
    }

    /// Every two references of one arithmetic of which at least one is live.
    fn among(&mut self, case: &Case, answers: &[Answer]) -> Vec<Witness> {
        let answers: Vec<&Answer> = answers.iter().filter(|a| a.seen.is_ok()).collect();
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
                let (who, found) = ((&other.identity, other.live), compared(case, a, b));
                let with = conclude(who, Held::exact(profile, case.declared(true)), found);
                witnesses.push(Witness {
                    name: one.identity.name.clone(),
                    with: self.keep(with),
                });
            }
        }
        witnesses
    }
}

/// What the engine's silence comes to.
fn of_engine(error: &RunError) -> Outcome {
    match error {
        RunError::NoAnswer(_) => Outcome::Incomplete,
        RunError::Refused(_) | RunError::Declined(_) => Outcome::Refused,
        RunError::NotFinite(_) => Outcome::Divergence,
        RunError::Environment(_) => Outcome::Environment,
        RunError::Died(_) | RunError::Lost(_) => Outcome::EngineDied,
    }
}
