//! Computes again what a receipt says, from the numbers it holds and the files that are there.

use std::fmt;

use engine::kernels::Kernel;

use super::{CaseReceipt, Claims, Comparison, Measured, Receipt, SCHEMA};
use crate::case::Case;
use crate::case::ability::Lacking;
use crate::file::provenance::Input;
use crate::judge::compare::Findings;
use crate::judge::demand::{Demand, JudgedBy};
use crate::judge::known_divergences::{Bound, Exceeded};
use crate::judge::tolerance::ArithmeticGap;
use crate::judge::verdict::Verdict;
use crate::receipt::diff::differences;
use crate::runner::engine::Engine;
use crate::runner::recorded::Recorded;
use crate::runner::suite::Suite;
use crate::runner::{Facts, Runner, Subject, Task};

/// What the checks came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verification {
    /// What was computed again and is as the receipt says.
    pub confirmed: Vec<String>,
    /// What is not as the receipt says.
    pub refuted: Vec<String>,
    /// What could not be computed again here.
    pub unchecked: Vec<String>,
}

/// Checks a receipt; `suite` are the fixtures, if they are at hand.
pub fn verify(receipt: &Receipt, suite: Option<&Suite>) -> Verification {
    let mut result = Verification::default();
    result.note("the seal", receipt.computed_seal() == receipt.seal);
    result.note("the schema", receipt.schema_version == SCHEMA);
    result.conclusions(receipt);
    match suite {
        Some(suite) => {
            for case in &receipt.cases {
                result.inputs(case, suite);
            }
        }
        None => result
            .unchecked
            .push("models and recordings: no fixtures folder".into()),
    }
    result
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for refuted in &self.refuted {
            writeln!(f, "REFUTED    {refuted}")?;
        }
        for unchecked in &self.unchecked {
            writeln!(f, "unchecked  {unchecked}")?;
        }
        let [confirmed, refuted, unchecked] =
            [&self.confirmed, &self.refuted, &self.unchecked].map(Vec::len);
        writeln!(
            f,
            "{confirmed} confirmed, {refuted} refuted, {unchecked} could not be checked here"
        )
    }
}

impl Verification {
    fn note(&mut self, what: &str, holds: bool) {
        let list = if holds {
            &mut self.confirmed
        } else {
            &mut self.refuted
        };
        list.push(what.to_owned());
    }

    /// Everything that follows from the findings follows from them again.
    fn conclusions(&mut self, receipt: &Receipt) {
        let mut cases = receipt.cases.clone();
        for case in &mut cases {
            if let Err(why) = conclude_again(case) {
                self.refuted
                    .push(format!("case {}: {why}", case.claims.case));
            }
        }
        let failures = receipt.failures.clone();
        let circumstances = receipt.circumstances.clone();
        // How many cases were asked for is the one number that exists only here.
        let asked = receipt.coverage.cases.declared;
        let asked = asked.max(receipt.cases.len() + receipt.failures.len());
        let mut again = Receipt::assemble(asked, cases, failures, circumstances);
        again.seal.clone_from(&receipt.seal);
        let value = |r: &Receipt| serde_json::to_value(r).expect("a receipt is plain data");
        let edited = differences("", &value(&again), &value(receipt));
        if edited.is_empty() {
            let what = "verdicts, coverage and status follow from the recorded numbers";
            self.confirmed.push(what.into());
        }
        self.refuted.extend(edited.iter().map(|d| {
            format!(
                "{}: the numbers say {}, the receipt {}",
                d.path, d.left, d.right
            )
        }));
    }

    /// The files named are the ones that are there, and what they declare is what was asked.
    fn inputs(&mut self, receipt: &CaseReceipt, suite: &Suite) {
        let claims = &receipt.claims;
        let name = &claims.case;
        let file = &claims.model.file;
        let model = Input::read(&suite.folder.join(file));
        match &model {
            Ok((input, _)) => self.note(
                &format!("case {name}: the hash of {file}"),
                input.sha256 == claims.model.sha256,
            ),
            Err(_) => self
                .unchecked
                .push(format!("case {name}: {file} is not here")),
        }
        let Some(case) = suite.cases.iter().find(|c| c.name == *name) else {
            let why = format!("case {name} is not among the fixtures");
            return self.unchecked.push(why);
        };
        if let Ok((model, _)) = &model {
            let task = Task { case, model };
            self.facts(claims, task);
            self.tokenizer(claims, task);
        }
        let asked = claims.comparisons.iter().map(|c| &c.reference.name);
        let asked: Vec<_> = asked.collect();
        let all = case.recordings.iter().all(|r| asked.contains(&r));
        self.note(&format!("case {name}: every recording was asked"), all);
        self.note(
            &format!("case {name}: the prompt"),
            claims.prompt == case.prompt,
        );
        let lacking = &claims.engine.lacking;
        for comparison in &claims.comparisons {
            let with = &comparison.reference.name;
            self.note(
                &format!("case {name} with {with}: as much was declared as the case declares"),
                comparison.coverage.declared() == case.declared_without(lacking, true)
                    || comparison.is_declined() && !case.live.contains(with)
                    || foreign_graph(comparison, case, lacking),
            );
            if let Some((reason, bound)) = entry(comparison) {
                let listed = suite.ledger.about(name, &claims.model.sha256, with);
                self.note(
                    &format!("case {name} with {with}: the divergence is known"),
                    listed.is_some_and(|e| e.reason == reason && e.bound == bound),
                );
            }
            match suite.recordings.get(with) {
                Some(recorded) => self.recording(claims, comparison, recorded),
                None if comparison.live => self.unchecked.push(format!(
                    "case {name}: what {with} computed, which only another run can tell"
                )),
                None => {
                    let why = format!("case {name}: {with} is not a recording");
                    self.unchecked.push(why);
                }
            }
        }
    }

    /// Weights and vocabulary are the model's, as far as a build that was told nothing can tell.
    fn facts(&mut self, claims: &Claims, task: Task<'_>) {
        let what = format!("case {}: what the model is made of", claims.case);
        if claims.quant.forced {
            return self
                .unchecked
                .push(format!("{what}: its packing was given"));
        }
        match Engine::new(Kernel::Scalar, 1).facts(task) {
            Ok(Facts { model, .. }) => {
                let same = model.architecture == claims.model.architecture
                    && model.quant == claims.quant
                    && model.vocabulary == claims.tokenizer;
                self.note(&what, same);
            }
            // A subject may read what this engine does not.
            Err(error) if claims.validation.backend != "rust" => {
                self.unchecked.push(format!("{what}: {error}"));
            }
            Err(error) => self.refuted.push(format!("{what}: {error}")),
        }
    }

    /// The ids are what this program's tokenizer makes of the prompt, if it is said to have made
    /// them.
    fn tokenizer(&mut self, claims: &Claims, task: Task<'_>) {
        let (name, by) = (&claims.case, &claims.validation.tokenizer);
        if by != "rust" {
            return;
        }
        match Engine::new(Kernel::Scalar, 1).tokenize(task) {
            Ok(ids) => {
                let what = format!("case {name}: the ids that the {by} tokenizer makes");
                self.note(&what, ids == claims.tokens);
            }
            Err(error) => self
                .refuted
                .push(format!("case {name}: the tokenizer: {error}")),
        }
    }

    /// Ids that are claimed equal to a recording's are the recording's.
    fn recording(&mut self, claims: &Claims, comparison: &Comparison, recorded: &Recorded) {
        let what = format!("case {} with {}", claims.case, comparison.reference.name);
        self.note(
            &format!("{what}: the recording's identity"),
            recorded.identity() == comparison.reference,
        );
        let prompts = &recorded.manifest().cases;
        let Some(recording) = prompts.iter().find(|c| c.prompt == claims.prompt) else {
            return self.refuted.push(format!("{what}: no such prompt"));
        };
        if comparison.verdict == Verdict::Agree {
            let steps = comparison.coverage.greedy_steps.declared;
            let greedy = recording.greedy.get(..steps);
            self.note(
                &format!("{what}: token ids"),
                recording.tokens == claims.tokens,
            );
            // In another arithmetic a tie may have ended otherwise.
            if !comparison.is_exact() {
                return;
            }
            // The receipt holds the continuation in the engine's own arithmetic only.
            if comparison.profile != claims.engine.identity.profile {
                let profile = &comparison.profile;
                let why = format!("{what}: greedy ids, which were computed in {profile}");
                return self.unchecked.push(why);
            }
            self.note(
                &format!("{what}: greedy ids"),
                greedy.is_some() && greedy == claims.greedy.get(..steps),
            );
        }
    }
}

/// A live reference of another arithmetic may have a graph of its own, whose nodes have no
/// counterpart; everything else is asked of it like of everybody.
fn foreign_graph(comparison: &Comparison, case: &Case, lacking: &Lacking) -> bool {
    let declared = comparison.coverage.declared();
    let other = comparison.live && !comparison.is_exact();
    other && declared == case.declared_without(lacking, false)
}

/// Draws the conclusions of one case again from its findings, in place.
fn conclude_again(case: &mut CaseReceipt) -> Result<(), String> {
    let claims = &mut case.claims;
    let own = claims.engine.identity.profile.clone();
    let known = |c: &Comparison| c.profile == own || c.profile == c.reference.profile;
    if let Some(strange) = claims.comparisons.iter().find(|c| !known(c)) {
        let (with, profile) = (&strange.reference.name, &strange.profile);
        return Err(format!(
            "{with} was compared in {profile}, which is neither side's"
        ));
    }
    let of = |c: &Comparison| c.named_apart();
    let exact = |_: &Comparison| ArithmeticGap::Nothing;
    let comparisons = claims.comparisons.iter_mut().map(|c| (of(c), c));
    let repetitions = claims.repetitions.iter_mut().map(|c| (exact(c), c));
    let controls = claims.controls.iter_mut().map(|c| (exact(c), c));
    let witnesses = claims
        .witnesses
        .iter_mut()
        .map(|w| (of(&w.with), &mut w.with));
    let all = comparisons
        .chain(repetitions)
        .chain(controls)
        .chain(witnesses);
    let all: Vec<_> = all.collect();
    if case.measured.len() != all.len() {
        return Err("comparisons and numbers do not pair".into());
    }
    for ((apart, comparison), measured) in all.into_iter().zip(&case.measured) {
        again(comparison, measured, apart)?;
    }
    claims.conclude();
    Ok(())
}

/// Whether two observations can be this far apart: nothing follows from equal bits but zeros.
fn is_possible(findings: &Findings) -> bool {
    let mut rows = findings.lanes.iter().flat_map(|lane| &lane.positions);
    let mut nodes = findings.nodes.compared.iter();
    rows.all(|row| {
        let same = row.top1_equal && row.kl == Some(0.0);
        row.distance.is_possible() && (same || !row.distance.is_bit_identical())
    }) && nodes.all(|node| node.distance.is_possible())
}

/// The reason and bound of the entry that a comparison says it was held to.
fn entry(comparison: &Comparison) -> Option<(String, Bound)> {
    match (&comparison.verdict, &comparison.exceeded) {
        (Verdict::Known { reason, bound, .. }, _) => Some((reason.clone(), *bound)),
        (_, Some(Exceeded { reason, bound })) => Some((reason.clone(), *bound)),
        _ => None,
    }
}

fn again(
    comparison: &mut Comparison,
    measured: &Measured,
    apart: ArithmeticGap,
) -> Result<(), String> {
    let with = &comparison.reference.name;
    if measured.with != *with {
        return Err(format!(
            "{with} is paired with numbers of {}",
            measured.with
        ));
    }
    let findings = match (&measured.findings, &comparison.verdict) {
        (Some(findings), _) if !is_possible(findings) => {
            return Err(format!("the numbers of {with} contradict each other"));
        }
        (Some(findings), _) => Ok(findings),
        (None, verdict) if verdict.has_numbers() => {
            return Err(format!("the verdict on {with} has no numbers"));
        }
        (None, verdict) => Err(verdict.clone()),
    };
    let known = entry(comparison);
    let by = comparison.judged_by.clone();
    let demand = by.as_ref().map_or(Demand::Ladder, JudgedBy::demand);
    *comparison = Comparison::conclude(
        comparison.reference.clone(),
        comparison.live,
        &comparison.profile,
        apart,
        comparison.coverage.declared(),
        demand,
        findings,
    );
    if let (Some((reason, bound)), Some(findings)) = (known, &measured.findings) {
        comparison.excuse(&reason, bound, findings);
    }
    Ok(())
}
