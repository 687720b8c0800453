//! Noise of a module's own size: what an error of that size does when it points anywhere.

use crate::numbers::split_mix::SplitMix64;

/// `values` with noise: each row of `width` moves as far as it lies from the same row of `other`,
/// each of its values by as much up or down. What is zero on both sides, as behind a mask, stays
/// zero. None if a row lies infinitely far off.
pub fn around(
    values: &[f32],
    other: &[f32],
    width: usize,
    random: &mut SplitMix64,
) -> Option<Vec<f32>> {
    let mut noisy = values.to_vec();
    for (row, other) in noisy.chunks_mut(width).zip(other.chunks(width)) {
        let pairs = || row.iter().zip(other);
        let square = |(x, y): (&f32, &f32)| (f64::from(*x) - f64::from(*y)).powi(2);
        let distance = pairs().map(square).sum::<f64>();
        if !distance.is_finite() {
            return None;
        }
        let moves = |(x, y): (&f32, &f32)| *x != 0.0 || *y != 0.0;
        let step = (distance / pairs().filter(|pair| moves(*pair)).count().max(1) as f64).sqrt();
        for (value, other) in row.iter_mut().zip(other) {
            if step > 0.0 && moves((&*value, other)) {
                let step = if random.once_in(2) { step } else { -step };
                *value = (f64::from(*value) + step) as f32;
            }
        }
    }
    Some(noisy)
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
}
