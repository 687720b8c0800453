//! Several documents on one lane: the numbers that one text alone is too short to settle.

use crate::judge::compare::LaneFindings;
use crate::judge::tolerance::{Gates, tolerances};
use crate::numbers::statistics::Spread;

/// The positions of several documents.
pub struct Documents {
    /// NMSE at each position, by document.
    pub nmse_of: Vec<Vec<f64>>,
    /// `KL(reference ‖ ours)` at each position, by document.
    pub kld_of: Vec<Vec<f64>>,
    /// The NMSE over all of them.
    pub nmse: Spread,
    /// The KL divergence over all of them.
    pub kld: Spread,
    /// Positions of all of them.
    pub positions: usize,
    /// Positions whose most likely token is another.
    pub flips: usize,
}

/// The rule that these documents break together, whatever their number.
pub fn broken_rule(documents: &[&LaneFindings], gates: &Gates) -> Option<String> {
    Documents::of(documents)?.broken_rule(gates)
}

impl Documents {
    /// None if there is no position, or a value that is no number.
    pub fn of(documents: &[&LaneFindings]) -> Option<Self> {
        let nmse_of: Vec<_> = documents.iter().map(|d| d.nmse()).collect::<Option<_>>()?;
        let kld_of: Vec<_> = documents.iter().map(|d| d.kl()).collect::<Option<_>>()?;
        Some(Documents {
            nmse: Spread::of(&nmse_of.concat())?,
            kld: Spread::of(&kld_of.concat())?,
            positions: documents.iter().map(|d| d.positions.len()).sum(),
            flips: documents.iter().map(|d| d.flips()).sum(),
            nmse_of,
            kld_of,
        })
    }

    /// Where the share of equal most likely tokens lies.
    pub fn top1_interval(&self) -> [f64; 2] {
        let interval = &tolerances().interval;
        interval.of_share(self.positions - self.flips, self.positions)
    }

    /// The gate that the median exceeds. Of all gates for several documents it is the one that a
    /// single document without a fault seldom breaks, because it does not care for a few positions.
    pub fn median_rule(&self, gates: &Gates) -> Option<String> {
        above("median NMSE", Some(self.nmse.median), gates.nmse_median)
    }

    /// The first gate that is exceeded.
    pub fn broken_rule(&self, gates: &Gates) -> Option<String> {
        // Few positions prove little: only a share that is too small for certain breaks the rule.
        let flips = self.top1_interval()[1] < 1.0 - gates.flips;
        self.median_rule(gates)
            .or_else(|| above("mean NMSE", Some(self.nmse.mean), gates.nmse_mean))
            .or_else(|| above("mean KLD", Some(self.kld.mean), gates.kld_mean))
            .or_else(|| flips.then(|| format!("share of top-1 flips above {:.1e}", gates.flips)))
    }
}

/// The rule that `found` breaks, if it is above the limit or no number. Without the number found:
/// rules are claims, and the same on every machine.
pub fn above(what: &str, found: Option<f64>, limit: f64) -> Option<String> {
    let within = found.is_some_and(|f| f <= limit);
    (!within).then(|| format!("{what} above {limit:.1e}"))
}
