//! What follows from the numbers of a receipt, drawn again from them.

use std::collections::BTreeSet;

use engine::format::Format;

use super::{Code, Verification};
use crate::judge::compare::Findings;
use crate::judge::demand::{Demand, JudgedBy};
use crate::judge::known_divergences::{Bound, Exceeded};
use crate::judge::tolerance::ArithmeticGap;
use crate::judge::verdict::Verdict;
use crate::receipt::diff::differences;
use crate::receipt::features::{Possible, is_possible as can_be_taken, possible};
use crate::receipt::{CaseReceipt, Comparison, Measured, Receipt};

impl Verification {
    /// Everything that follows from the findings follows from them again.
    pub(super) fn conclusions(&mut self, receipt: &Receipt) {
        let mut cases = receipt.cases.clone();
        let possible = possible(&receipt.circumstances.products);
        for case in &mut cases {
            self.features(case, &possible);
            if let Err(why) = conclude_again(case) {
                self.refute(Code::Numbers, format!("case {}: {why}", case.claims.case));
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
        for d in &edited {
            let what = format!(
                "{}: the numbers say {}, the receipt {}",
                d.path, d.left, d.right
            );
            self.refute(Code::Conclusion, what);
        }
    }
}

impl Verification {
    /// What the comparisons of a case say they exercised is there to be exercised, and multiplied
    /// the formats that the model has: which those are is held against the model itself.
    fn features(&mut self, case: &CaseReceipt, possible: &Possible) {
        let engine = &case.claims.engine;
        let holds = |(comparison, measured): (&Comparison, &Measured)| {
            let taken = &measured.taken;
            let products = taken.0.keys().filter_map(|what| what.split_once(' '));
            let formats = products.filter_map(|(format, _)| Format::named(format));
            let formats: BTreeSet<&str> = formats.map(|format| format.name).collect();
            let own = engine.multiplied_by.keys().map(String::as_str);
            let whole = taken.is_empty() || formats.into_iter().eq(own);
            whole && can_be_taken(&comparison.profile, taken, possible)
        };
        let pairs = case.pairs().map(|(comparison, _)| comparison);
        let what = format!("case {}: what it exercised", case.claims.case);
        let holds = pairs.zip(&case.measured).all(holds);
        self.note(Code::Facts, &what, holds);
    }
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
pub(super) fn entry(comparison: &Comparison) -> Option<(String, Bound)> {
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
