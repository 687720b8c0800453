//! What a change in the middle of a pass does to the logits at its end.
#![forbid(unsafe_code)]

use serde::Serialize;

use crate::judge::compare::{PositionFindings, compare_rows};
use crate::numbers::metrics;

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
        let rows = theirs.zip(ours.chunks_exact(vocab_size));
        // The same numbers are no distance apart, which need not be computed.
        let same = |(t, o): (&f32, &f32)| t.to_bits() == o.to_bits() && t.is_finite();
        let each: Vec<Option<PositionFindings>> = rows
            .enumerate()
            .map(|(position, (theirs, ours))| {
                let differs = !theirs.iter().zip(ours).all(same);
                differs.then(|| compare_rows(position, theirs, ours))
            })
            .collect();
        let none = Some(0.0);
        let kl = each.iter().map(|p| p.as_ref().map_or(none, |p| p.kl));
        let kl: Option<Vec<f64>> = kl.collect();
        let nmse = each
            .iter()
            .map(|p| p.as_ref().map_or(none, |p| p.distance.nmse));
        let nmse: Option<Vec<f64>> = nmse.collect();
        let largest = |values: &Vec<f64>| values.iter().copied().fold(0.0, f64::max);
        let positions = each.len();
        Effect {
            positions,
            differing: each
                .iter()
                .flatten()
                .map(|p| p.distance.values - p.distance.bit_equal)
                .sum(),
            kl_max: kl.as_ref().map(largest),
            kl_mean: kl.map(|kl| kl.iter().sum::<f64>() / positions.max(1) as f64),
            nmse_max: nmse.as_ref().map(largest),
            nmse_median: nmse.and_then(|nmse| metrics::median(&nmse)),
            top1_flips: each.iter().flatten().filter(|p| !p.top1_equal).count(),
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
        assert_eq!(metrics::divergence(&logits[..3], &logits[..3]), Some(0.0));
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
