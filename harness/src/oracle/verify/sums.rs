//! The whole numbers that a ternary product was made of, taken back out of its outputs.

use engine::kernels::activation::RowScale;
use engine::kernels::ternary::finish;

/// Why there is no one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoSum {
    /// No whole number becomes this output.
    Impossible,
    /// More than one does, or the scales leave nothing to take back.
    Ambiguous,
}

/// The sum that became `out` under the scale of its activations and the scale of its matrix.
pub fn recover(out: f32, activation: RowScale, scale: f32) -> Result<i32, NoSum> {
    let [by, of] = [activation.scale, scale].map(f64::from);
    if !(by.is_normal() && of.is_normal()) {
        return Err(NoSum::Ambiguous);
    }
    let nearest = (f64::from(out) / of * by).round();
    if nearest.abs() > f64::from(i32::MAX / 2) || nearest.is_nan() {
        return Err(NoSum::Impossible);
    }
    let nearest = nearest as i32;
    // Without the sum of the activations a dot product is the sum of the weights.
    let bare = RowScale {
        sum: 0,
        ..activation
    };
    let becomes = |sum: i32| finish(sum, bare, scale).to_bits() == out.to_bits();
    let mut found = [nearest - 1, nearest, nearest + 1]
        .into_iter()
        .filter(|&n| becomes(n));
    match (found.next(), found.next()) {
        (Some(sum), None) => Ok(sum),
        (None, _) => Err(NoSum::Impossible),
        (Some(_), Some(_)) => Err(NoSum::Ambiguous),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::split_mix::SplitMix64;

    #[test]
    fn every_sum_comes_back_and_an_output_beside_it_is_none() {
        let mut dice = SplitMix64(4);
        for _ in 0..20_000 {
            let sum = dice.below(1 << 21) as i32 - (1 << 20);
            let activation = RowScale {
                scale: 200.0 * (dice.signed_unit() + 1.001),
                sum: dice.below(1000) as i32 - 500,
            };
            let scale = dice.signed_unit() + 1.001;
            let out = finish(sum + activation.sum, activation, scale);
            assert_eq!(recover(out, activation, scale), Ok(sum));
            if sum.unsigned_abs() < 1 << 19 {
                let beside = f32::from_bits(out.to_bits() + 2);
                let found = recover(beside, activation, scale);
                assert_eq!(found, Err(NoSum::Impossible), "{sum} {activation:?}");
            }
        }
    }

    #[test]
    fn scales_that_leave_nothing_are_said() {
        let activation = |scale| RowScale { scale, sum: 0 };
        assert_eq!(recover(0.0, activation(2.0), 0.0), Err(NoSum::Ambiguous));
        assert_eq!(recover(0.0, activation(0.0), 1.0), Err(NoSum::Ambiguous));
        let nan = recover(f32::NAN, activation(2.0), 1.0);
        assert_eq!(nan, Err(NoSum::Impossible));
    }
}
