//! What a change in the middle of a pass does to the logits at its end.

use serde::Serialize;

use crate::case::observation::Lane;
use crate::judge::compare::{LaneFindings, compare_rows};
use crate::numbers::metrics::median;
use crate::numbers::statistics::mean;

/// The distance between two passes' logits, over every position.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Effect {
    /// Positions.
    pub positions: usize,
    /// Logits whose bits differ.
    pub differing: usize,
    /// Mean of `KL(theirs ‖ ours)` in nats; none if a logit is not finite.
    pub kl_mean: Option<f64>,
    /// The largest; none likewise.
    pub kl_max: Option<f64>,
    /// Median of the positions' NMSE; none likewise.
    pub nmse_median: Option<f64>,
    /// The largest; none likewise.
    pub nmse_max: Option<f64>,
    /// Positions whose most likely token is another one.
    pub top1_flips: usize,
}

impl Effect {
    /// Between rows of `vocab_size` logits.
    pub fn between(vocab_size: usize, theirs: &[f32], ours: &[f32]) -> Self {
        let theirs = theirs.chunks_exact(vocab_size);
        let rows = theirs.zip(ours.chunks_exact(vocab_size)).enumerate();
        let rows = rows.map(|(position, (theirs, ours))| compare_rows(position, theirs, ours));
        let found = LaneFindings {
            lane: Lane::Prefill,
            positions: rows.collect(),
            first_difference: None,
            ulps: None,
        };
        let (kl, nmse) = (found.kl(), found.nmse());
        let largest = |values: &Vec<f64>| values.iter().copied().fold(0.0, f64::max);
        let distances = found.positions.iter().map(|position| &position.distance);
        Effect {
            positions: found.positions.len(),
            differing: distances.map(|d| d.values - d.bit_equal).sum(),
            kl_max: kl.as_ref().map(largest),
            kl_mean: kl.and_then(|kl| mean(&kl)),
            nmse_max: nmse.as_ref().map(largest),
            nmse_median: nmse.and_then(|nmse| median(&nmse)),
            top1_flips: found.flips(),
        }
    }

    /// Every bit of every logit is the same.
    pub fn is_identical(&self) -> bool {
        self.differing == 0
    }

    /// For ranking: what is not a number weighs more than any number.
    pub fn weight(&self) -> f64 {
        self.kl_mean.unwrap_or(f64::INFINITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_logits_are_exactly_nothing_and_others_are_counted() {
        let logits = [0.5, 1.5, -2.0, 4.0, 3.0, 2.0];
        let same = Effect::between(3, &logits, &logits);
        assert!(same.is_identical());
        assert_eq!((same.kl_mean, same.kl_max), (Some(0.0), Some(0.0)));
        let mut other = logits;
        other[4] = 5.0;
        let effect = Effect::between(3, &logits, &other);
        assert_eq!(
            (effect.positions, effect.differing, effect.top1_flips),
            (2, 1, 1)
        );
        let (mean, max) = (
            effect.kl_mean.expect("finite"),
            effect.kl_max.expect("finite"),
        );
        assert!(mean > 0.1 && (max - 2.0 * mean).abs() < 1e-12);
        let nan = [f32::NAN; 3];
        assert_eq!(Effect::between(3, &nan, &nan).kl_mean, None, "two wrongs");
        other[0] = f32::NAN;
        let broken = Effect::between(3, &logits, &other);
        assert_eq!((broken.kl_mean, broken.weight()), (None, f64::INFINITY));
    }
}
