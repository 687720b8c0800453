//! The run in one object, under the names that BitNet-rs has in its receipts.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

use super::{CaseReceipt, Circumstances, Failed, Pooled, comparisons, pooled};
use crate::case::coverage::Coverage;
use crate::judge::compare::{Findings, GreedyFindings};
use crate::judge::outcome::Outcome;
use crate::numbers::metrics::Distance;

/// The run in one object, under the names the predecessor used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parity {
    /// What the run comes to.
    pub status: Outcome,
    /// Whether a live reference took part.
    pub cpp_available: bool,
    /// The smallest cosine at any position of which every bit is demanded.
    pub cosine_similarity: Option<f64>,
    /// Greedy steps of the same comparisons that came before any divergence, as a share.
    pub exact_match_rate: Option<f64>,
    /// The earliest of these steps at which a continuation parts.
    pub first_divergence_step: Option<usize>,
    /// The smallest cosine at any position that was compared with a reference, whatever is demanded
    /// of it.
    pub correlation: Option<f64>,
    /// The largest difference of two logits there; none if one of them is no number.
    pub max_diff: Option<f64>,
}

impl Parity {
    /// Follows from everything else.
    pub fn of(
        coverage: &Coverage,
        cases: &[CaseReceipt],
        failures: &[Failed],
        pooled: &[Pooled],
        circumstances: &Circumstances,
    ) -> Self {
        let of_case = |case: &CaseReceipt| case.claims.outcome(|c| pooled::settles(pooled, c));
        let ends = cases.iter().map(of_case);
        let ends = ends.chain(failures.iter().map(|f| f.status));
        let ends = ends.chain(ends_of_run(coverage, cases, pooled, circumstances));
        let cpp_available = comparisons(cases).any(|c| c.live && c.is_answered());
        let floor = if coverage.is_complete() {
            Outcome::Ok
        } else {
            Outcome::Incomplete
        };
        let status = match Outcome::worst(floor, ends) {
            // Some cases have recordings only; the run had more.
            Outcome::RustOnly if cpp_available => Outcome::Ok,
            status => status,
        };
        let demanded: Vec<&Findings> = exact(cases).collect();
        let greedy = || demanded.iter().map(|f| &f.greedy);
        let parting = |g: &GreedyFindings| g.first_divergence.as_ref().map(|d| d.step);
        let steps: usize = greedy().map(|g| g.steps).sum();
        let equal: usize = greedy().map(|g| parting(g).unwrap_or(g.steps)).sum();
        let compared = cases.iter().flat_map(CaseReceipt::compared);
        let compared = compared.filter_map(|(_, findings)| findings);
        let [exactly, everywhere] = [distances(exact(cases)), distances(compared)];
        Parity {
            status,
            cpp_available,
            cosine_similarity: of_all(&exactly, |d| d.cosine, f64::min),
            exact_match_rate: (steps > 0).then(|| equal as f64 / steps as f64),
            first_divergence_step: greedy().filter_map(parting).min(),
            correlation: of_all(&everywhere, |d| d.cosine, f64::min),
            max_diff: of_all(&everywhere, |d| d.max_abs, f64::max),
        }
    }
}

/// What is wrong with the run as a whole.
fn ends_of_run(
    coverage: &Coverage,
    cases: &[CaseReceipt],
    pooled: &[Pooled],
    circumstances: &Circumstances,
) -> impl Iterator<Item = Outcome> {
    let broken = pooled.iter().any(|p| p.broken.is_some());
    let unanswered = circumstances.is_unanswered(coverage, cases);
    [
        (!circumstances.changed_inputs.is_empty(), Outcome::Void),
        (broken, Outcome::Divergence),
        (!circumstances.stale_entries.is_empty(), Outcome::StaleEntry),
        (unanswered, Outcome::ReferenceMissing),
    ]
    .into_iter()
    .filter_map(|(holds, outcome)| holds.then_some(outcome))
}

/// What was found where every bit is demanded.
pub(super) fn exact(cases: &[CaseReceipt]) -> impl Iterator<Item = &Findings> {
    let compared = cases.iter().flat_map(CaseReceipt::compared);
    let exact = compared.filter(|(comparison, _)| comparison.is_exact());
    exact.filter_map(|(_, findings)| findings)
}

fn distances<'a>(findings: impl IntoIterator<Item = &'a Findings>) -> Vec<&'a Distance> {
    let lanes = findings.into_iter().flat_map(|f| &f.lanes);
    let positions = lanes.flat_map(|lane| &lane.positions);
    positions.map(|position| &position.distance).collect()
}

/// The worst of a number, which is none if it is none anywhere.
fn of_all(
    distances: &[&Distance],
    number: impl Fn(&Distance) -> Option<f64>,
    worse: impl Fn(f64, f64) -> f64,
) -> Option<f64> {
    let numbers: Option<Vec<f64>> = distances.iter().map(|d| number(d)).collect();
    numbers?.into_iter().reduce(worse)
}
