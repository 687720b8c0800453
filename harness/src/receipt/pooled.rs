//! All documents of a run together: what one text alone is too few to say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CaseReceipt, Comparison};
use crate::case::observation::Lane;
use crate::judge::compare::LaneFindings;
use crate::judge::documents::Documents;
pub use crate::judge::documents::broken_rule;
use crate::judge::tolerance::{ArithmeticGap, Tolerance, tolerances};
use crate::judge::verdict::Verdict;
use crate::numbers::statistics::Tail;

/// One reference of another arithmetic on one lane, over all documents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pooled {
    /// Name of the reference.
    pub reference: String,
    /// Its arithmetic, and ours.
    pub profiles: [String; 2],
    /// Which lane.
    pub lane: Lane,
    /// What was demanded.
    pub tolerance: Tolerance,
    /// Documents compared.
    pub documents: usize,
    /// Their positions.
    pub positions: usize,
    /// Median of the NMSE.
    pub nmse_median: f64,
    /// Its mean.
    pub nmse_mean: f64,
    /// Where the mean lies, by document; none for a single one.
    pub nmse_interval: Option<[f64; 2]>,
    /// Mean of `KL(reference ‖ ours)`.
    pub kld_mean: f64,
    /// Where that lies.
    pub kld_interval: Option<[f64; 2]>,
    /// Which number stood for the tail of the largest document.
    pub tail: Tail,
    /// Positions whose most likely token is another.
    pub flips: usize,
    /// Where the share of equal ones lies.
    pub top1_interval: [f64; 2],
    /// Whether there were enough documents for a verdict.
    pub judged: bool,
    /// The rule that is broken.
    pub broken: Option<String>,
    /// The rule that is broken by documents too few to judge by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undecided: Option<String>,
}

/// Every lane that is judged by distances and has them.
pub fn pool(cases: &[CaseReceipt]) -> Vec<Pooled> {
    let mut lanes: BTreeMap<(&str, [&str; 2], Lane), Vec<&LaneFindings>> = BTreeMap::new();
    for case in cases {
        for (comparison, found) in case.compared().filter(|(c, _)| counts(c)) {
            for lane in found.iter().flat_map(|found| &found.lanes) {
                let profiles = [&comparison.reference.profile[..], &comparison.profile[..]];
                let key = (&comparison.reference.name[..], profiles, lane.lane);
                lanes.entry(key).or_default().push(lane);
            }
        }
    }
    let pooled = |((reference, profiles, lane), documents): (_, Vec<&LaneFindings>)| {
        pool_lane(reference, profiles, lane, &documents)
    };
    lanes.into_iter().filter_map(pooled).collect()
}

/// What is known to diverge is judged by its own bound.
fn counts(comparison: &Comparison) -> bool {
    let answered = matches!(
        comparison.verdict,
        Verdict::Agree | Verdict::NotJudged | Verdict::Diverge { .. }
    );
    answered && comparison.apart().tier().is_measured()
}

fn pool_lane(
    reference: &str,
    profiles: [&str; 2],
    lane: Lane,
    documents: &[&LaneFindings],
) -> Option<Pooled> {
    let together = Documents::of(documents)?;
    let longest = documents.iter().map(|d| d.positions.len()).max()?;
    let apart = ArithmeticGap::profiles(profiles[0], profiles[1]);
    let mut pooled = Pooled {
        reference: reference.to_owned(),
        profiles: profiles.map(str::to_owned),
        lane,
        tolerance: apart.tier(),
        documents: documents.len(),
        positions: together.positions,
        nmse_median: together.nmse.median,
        nmse_mean: together.nmse.mean,
        nmse_interval: tolerances().interval.of_mean(&together.nmse_of),
        kld_mean: together.kld.mean,
        kld_interval: tolerances().interval.of_mean(&together.kld_of),
        tail: Tail::of(longest),
        flips: together.flips,
        top1_interval: together.top1_interval(),
        judged: documents.len() >= tolerances().pooled.documents,
        broken: None,
        undecided: None,
    };
    let gates = tolerances().gates(apart, lane)?;
    if pooled.judged {
        pooled.broken = together.broken_rule(&gates);
    } else {
        pooled.undecided = together.median_rule(&gates);
    }
    Some(pooled)
}

/// Whether all documents together were judged, and found close enough, in both lanes.
pub fn settles(pooled: &[Pooled], comparison: &Comparison) -> bool {
    let profiles = [&comparison.reference.profile, &comparison.profile];
    let mut lanes = pooled
        .iter()
        .filter(|p| p.reference == comparison.reference.name && p.profiles.each_ref() == profiles);
    let close = |p: &Pooled| p.judged && p.broken.is_none();
    lanes.clone().count() > 0 && lanes.all(close)
}
