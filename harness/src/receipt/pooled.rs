//! All documents of a run together: what one text alone is too few to say.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CaseReceipt, Comparison};
use crate::case::observation::Lane;
use crate::judge::compare::LaneFindings;
use crate::judge::tolerance::{Apart, Gates, Tolerance, book};
use crate::judge::verdict::{Verdict, above};
use crate::numbers::statistics::{Spread, Tail};

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
}

/// Every lane that is judged by distances and has them.
pub fn pool(cases: &[CaseReceipt]) -> Vec<Pooled> {
    let mut lanes: BTreeMap<(&str, [&str; 2], Lane), Vec<&LaneFindings>> = BTreeMap::new();
    for case in cases {
        for (comparison, measured) in case.claims.comparisons.iter().zip(&case.measured) {
            let findings = measured.findings.iter().filter(|_| counts(comparison));
            for lane in findings.flat_map(|found| &found.lanes) {
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
    let answered = matches!(comparison.verdict, Verdict::Agree | Verdict::Diverge { .. });
    answered && comparison.tolerance.is_measured()
}

fn pool_lane(
    reference: &str,
    profiles: [&str; 2],
    lane: Lane,
    documents: &[&LaneFindings],
) -> Option<Pooled> {
    let together = Together::of(documents)?;
    let longest = documents.iter().map(|d| d.positions.len()).max()?;
    let apart = Apart::profiles(profiles[0], profiles[1]);
    let mut pooled = Pooled {
        reference: reference.to_owned(),
        profiles: profiles.map(str::to_owned),
        lane,
        tolerance: apart.tier(),
        documents: documents.len(),
        positions: together.positions,
        nmse_median: together.nmse.median,
        nmse_mean: together.nmse.mean,
        nmse_interval: book().interval.of_mean(&together.nmse_of),
        kld_mean: together.kld.mean,
        kld_interval: book().interval.of_mean(&together.kld_of),
        tail: Tail::of(longest),
        flips: together.flips,
        top1_interval: together.top1_interval(),
        judged: documents.len() >= book().pooled.documents,
        broken: None,
    };
    if pooled.judged {
        pooled.broken = together.broken_rule(&book().gates(apart, lane)?);
    }
    Some(pooled)
}

/// The positions of several documents.
struct Together {
    nmse_of: Vec<Vec<f64>>,
    kld_of: Vec<Vec<f64>>,
    nmse: Spread,
    kld: Spread,
    positions: usize,
    flips: usize,
}

/// The rule that these documents break together, whatever their number.
pub fn broken_rule(documents: &[&LaneFindings], gates: &Gates) -> Option<String> {
    Together::of(documents)?.broken_rule(gates)
}

impl Together {
    /// None if there is no position, or a value that is no number.
    fn of(documents: &[&LaneFindings]) -> Option<Self> {
        let nmse_of: Vec<_> = documents.iter().map(|d| d.nmse()).collect::<Option<_>>()?;
        let kld_of: Vec<_> = documents.iter().map(|d| d.kl()).collect::<Option<_>>()?;
        Some(Together {
            nmse: Spread::of(&nmse_of.concat())?,
            kld: Spread::of(&kld_of.concat())?,
            positions: documents.iter().map(|d| d.positions.len()).sum(),
            flips: documents.iter().map(|d| d.flips()).sum(),
            nmse_of,
            kld_of,
        })
    }

    fn top1_interval(&self) -> [f64; 2] {
        book()
            .interval
            .of_share(self.positions - self.flips, self.positions)
    }

    fn broken_rule(&self, gates: &Gates) -> Option<String> {
        // Few positions prove little: only a share that is too small for certain breaks the rule.
        let flips = self.top1_interval()[1] < 1.0 - gates.flips;
        above("median NMSE", Some(self.nmse.median), gates.nmse_median)
            .or_else(|| above("mean NMSE", Some(self.nmse.mean), gates.nmse_mean))
            .or_else(|| above("mean KLD", Some(self.kld.mean), gates.kld_mean))
            .or_else(|| flips.then(|| format!("share of top-1 flips above {:.1e}", gates.flips)))
    }
}
