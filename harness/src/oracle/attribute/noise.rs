//! Noise of a module's own size: what an error of that size does when it points anywhere.
#![forbid(unsafe_code)]

use crate::numbers::split_mix::SplitMix64;

/// `values` with noise: each row of `width` moves as far as it lies from the same row of `other`,
/// into a random direction. What is zero on both sides, as behind a mask, stays zero. None if a
/// row lies infinitely far off.
pub fn around(
    values: &[f32],
    other: &[f32],
    width: usize,
    random: &mut SplitMix64,
) -> Option<Vec<f32>> {
    let mut noisy = values.to_vec();
    let rows = noisy.chunks_mut(width).zip(other.chunks(width));
    for (row, other) in rows {
        let pairs = || row.iter().zip(other);
        let square = |(x, y): (&f32, &f32)| (f64::from(*x) - f64::from(*y)).powi(2);
        let distance = pairs().map(square).sum::<f64>().sqrt();
        if !distance.is_finite() {
            return None;
        }
        if distance == 0.0 {
            continue;
        }
        let direction: Vec<f64> = pairs()
            .map(|(x, y)| {
                if *x == 0.0 && *y == 0.0 {
                    0.0
                } else {
                    normal(random)
                }
            })
            .collect();
        let length = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
        for (value, d) in row.iter_mut().zip(direction) {
            *value = (f64::from(*value) + d * distance / length) as f32;
        }
    }
    Some(noisy)
}

/// A number from the normal distribution, by Box and Muller's formula.
fn normal(random: &mut SplitMix64) -> f64 {
    let mut unit = || ((random.bits() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    let (radius, turn) = (unit(), unit());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * turn).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_moves_as_far_as_the_other_lies_and_zeros_stay() {
        let values: Vec<f32> = (0..64).map(|i| (i % 7) as f32).collect();
        let mut other = values.clone();
        other[1] += 3.0;
        other[2] += 4.0;
        let noisy = around(&values, &other, 32, &mut SplitMix64(7)).expect("finite");
        let far = |a: &[f32], b: &[f32]| {
            let squares = a.iter().zip(b).map(|(x, y)| f64::from(x - y).powi(2));
            squares.sum::<f64>().sqrt()
        };
        assert!((far(&values[..32], &noisy[..32]) - 5.0).abs() < 1e-5);
        assert_eq!(values[32..], noisy[32..], "no error, no noise");
        assert!((0..32).filter(|i| i % 7 == 0).all(|i| noisy[i] == 0.0));
        let moved = values.iter().zip(&noisy).filter(|(x, y)| x != y).count();
        assert!(moved > 20, "it points anywhere: {moved}");
        let again = around(&values, &other, 32, &mut SplitMix64(7));
        assert_eq!(again.expect("finite"), noisy, "the seed decides");
        other[0] = f32::NAN;
        assert_eq!(around(&values, &other, 32, &mut SplitMix64(7)), None);
    }

    #[test]
    fn normal_numbers_have_mean_0_and_variance_1() {
        let mut random = SplitMix64(3);
        let numbers: Vec<f64> = (0..20_000).map(|_| normal(&mut random)).collect();
        let mean = numbers.iter().sum::<f64>() / 20_000.0;
        let variance = numbers.iter().map(|x| x * x).sum::<f64>() / 20_000.0;
        assert!(
            mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05,
            "{mean} {variance}"
        );
    }
}
