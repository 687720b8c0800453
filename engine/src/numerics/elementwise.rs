//! The operations whose order no profile changes: norm, rotation, activation, sums.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicUsize, Ordering};

use super::half::{Half, round_bf16, round_f16};
use crate::kernels::activation::{RowScale, quantise_row};

/// `out = row / rms(row)`. Squares are singles, their sum is a sequential double.
#[inline(always)]
pub fn rms_norm(row: &[f32], epsilon: f32, out: &mut [f32]) {
    rms_norm_counting(row, epsilon, out, &AtomicUsize::new(0));
}

/// The same; `serial` counts the rows that were added up one by one, because lanes might have
/// given another mean.
#[inline(always)]
pub fn rms_norm_counting(row: &[f32], epsilon: f32, out: &mut [f32], serial: &AtomicUsize) {
    let mean = certain_mean(row).unwrap_or_else(|| {
        serial.fetch_add(1, Ordering::Relaxed);
        let sum = row.iter().fold(0f64, |sum, &x| sum + f64::from(x * x));
        (sum / row.len() as f64) as f32
    });
    let scale = 1.0 / (mean + epsilon).sqrt();
    for (out, &x) in out.iter_mut().zip(row) {
        *out = x * scale;
    }
}

/// The mean of the squares, if every order of adding them up gives the same single.
///
/// Squares are not negative, so any order of n additions is within n · 2⁻⁵³ of the exact sum, and
/// two orders are within 2n · 2⁻⁵³ of each other; what a few more roundings add stays within the
/// 16 of the margin. Division and conversion keep the order of their arguments: where both ends
/// of the margin become the same single, the sequential sum becomes it, too.
#[inline(always)]
fn certain_mean(row: &[f32]) -> Option<f32> {
    const LANES: usize = 32;
    /// Beyond it squares of n · 2⁻⁵³ would count.
    const MOST: usize = 1 << 20;
    let (vectors, rest) = row.as_chunks::<LANES>();
    let mut lanes = [0f64; LANES];
    for vector in vectors {
        for (lane, &x) in lanes.iter_mut().zip(vector) {
            *lane += f64::from(x * x);
        }
    }
    let squares = rest.iter().map(|&x| f64::from(x * x));
    let sum: f64 = lanes.into_iter().chain(squares).sum();
    let margin = (2 * row.len() + 16) as f64 * (f64::EPSILON / 2.0);
    let mean = |sum: f64| (sum / row.len() as f64) as f32;
    let (least, most) = (mean(sum * (1.0 - margin)), mean(sum * (1.0 + margin)));
    (least == most && row.len() < MOST).then_some(least)
}

/// Rotates pair `(x0, x1)`; the product with `x0` is fused, the other one rounded.
#[inline(always)]
fn rotate([x0, x1]: [f32; 2], [cos, sin]: [f32; 2]) -> [f32; 2] {
    [x0.mul_add(cos, -(x1 * sin)), x0.mul_add(sin, x1 * cos)]
}

/// Rotates element `i` with element `i + n/2`; what `angles` does not cover stays.
#[inline(always)]
pub fn rope_halves(head: &mut [f32], angles: &[[f32; 2]]) {
    let (low, high) = head.split_at_mut(angles.len());
    for ((x0, x1), &angle) in low.iter_mut().zip(high).zip(angles) {
        [*x0, *x1] = rotate([*x0, *x1], angle);
    }
}

/// Rotates element `2i` with element `2i + 1`; what `angles` does not cover stays.
#[inline(always)]
pub fn rope_adjacent(head: &mut [f32], angles: &[[f32; 2]]) {
    for (pair, &angle) in head.as_chunks_mut::<2>().0.iter_mut().zip(angles) {
        *pair = rotate(*pair, angle);
    }
}

/// `max(x, 0)`, in place; a NaN becomes 0, too.
#[inline(always)]
pub fn relu(row: &mut [f32]) {
    for x in row {
        *x = if *x > 0.0 { *x } else { 0.0 };
    }
}

/// `x²`, in place.
#[inline(always)]
pub fn square(row: &mut [f32]) {
    for x in row {
        *x *= *x;
    }
}

/// `x *= factor`, element by element, in place.
#[inline(always)]
pub fn multiply(row: &mut [f32], factors: &[f32]) {
    for (x, &factor) in row.iter_mut().zip(factors) {
        *x *= factor;
    }
}

/// `x *= factor`, the same for all, in place.
#[inline(always)]
pub fn scale(row: &mut [f32], factor: f32) {
    for x in row {
        *x *= factor;
    }
}

/// `x += summand`, element by element, in place.
#[inline(always)]
pub fn add(row: &mut [f32], summands: &[f32]) {
    for (x, &summand) in row.iter_mut().zip(summands) {
        *x += summand;
    }
}

/// Rounds a row to IEEE halves.
#[inline(always)]
pub fn round_row_f16(row: &[f32], out: &mut [Half]) {
    for (out, &x) in out.iter_mut().zip(row) {
        *out = round_f16(x);
    }
}

/// Quantises a row to int8.
#[inline(always)]
pub fn quantise_int8(row: &[f32], out: &mut [i8], scale: &mut RowScale) {
    *scale = quantise_row(row, out);
}

/// Rounds a row to bfloat16.
#[inline(always)]
pub fn round_row_bf16(row: &[f32], out: &mut [Half]) {
    for (out, &x) in out.iter_mut().zip(row) {
        *out = round_bf16(x);
    }
}

/// Index of the first value that is NaN or infinite.
#[inline(always)]
pub fn first_non_finite(values: &[f32]) -> Option<usize> {
    const EXPONENT: u32 = 0x7f80_0000;
    // A whole chunk is scanned without a branch; only a guilty one is searched.
    for (c, chunk) in values.chunks(256).enumerate() {
        let guilty = chunk
            .iter()
            .fold(false, |guilty, x| guilty | !x.is_finite());
        if guilty {
            let inside = chunk
                .iter()
                .position(|x| x.to_bits() & EXPONENT == EXPONENT);
            return inside.map(|i| c * 256 + i);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the row was added up one by one.
    fn normalise(row: &[f32], out: &mut [f32]) -> bool {
        let serial = AtomicUsize::new(0);
        rms_norm_counting(row, 0.0, out, &serial);
        serial.into_inner() > 0
    }

    /// The scale by the definition.
    fn scale_of(row: &[f32]) -> f32 {
        let sum = row.iter().fold(0f64, |sum, &x| sum + f64::from(x * x));
        1.0 / ((sum / row.len() as f64) as f32).sqrt()
    }

    #[test]
    fn lanes_are_trusted_almost_always_and_never_wrongly() {
        let mut state = 1u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        let mut serial = 0;
        for len in (1..200).chain([2560; 200]) {
            let row: Vec<f32> = (0..len).map(|_| next() * 8f32.powf(next())).collect();
            let mut out = vec![0f32; len];
            serial += usize::from(normalise(&row, &mut out));
            let scale = scale_of(&row);
            assert!(row.iter().zip(&out).all(|(x, out)| x * scale == *out));
        }
        assert_eq!(serial, 0, "a margin of 1e-12 beside a single's 6e-8");
    }

    #[test]
    fn a_mean_between_two_singles_is_added_up_one_by_one() {
        // (1 + 1 + 2⁻²⁴ + 2⁻²⁴) / 4 = 0.5 + 2⁻²⁵: half of the last bit a single has there.
        let small = 2f32.powi(-12);
        let row = [1.0, 1.0, small, small];
        let mut out = [0f32; 4];
        assert!(normalise(&row, &mut out));
        assert_eq!(out, row.map(|x| x * scale_of(&row)));
        assert!(!normalise(&[1.0, 1.0, small, 0.0], &mut out));
    }

    #[test]
    fn what_is_no_number_stays_none_and_infinities_are_certain() {
        let mut out = [0f32; 2];
        assert!(normalise(&[f32::NAN, 1.0], &mut out));
        assert!(out[1].is_nan());
        assert!(!normalise(&[f32::MAX, 1.0], &mut out));
        assert_eq!(out[1], 0.0);
    }

    #[test]
    fn rms_norm_by_hand() {
        let mut out = [0f32; 2];
        normalise(&[3.0, 4.0], &mut out);
        let scale = 1.0 / 12.5f32.sqrt();
        assert_eq!(out, [3.0 * scale, 4.0 * scale]);
    }

    #[test]
    fn squares_are_summed_in_double() {
        // In single precision every 2⁻²⁶ would be lost beside the one.
        let mut row = [2f32.powi(-13); 4096];
        row[0] = 1.0;
        let mut out = [0f32; 4096];
        normalise(&row, &mut out);
        let sum = 1.0 + 4095.0 * 2f64.powi(-26);
        let expected = 1.0 / ((sum / 4096.0) as f32).sqrt();
        assert_eq!(out[0], expected);
        assert_ne!(out[0], 64.0, "what single precision would give");
    }

    #[test]
    fn rotation_fuses_the_product_with_the_first_element() {
        let (nearly, square) = (1.0 + 1.0 / 4096.0, 1.0 + 2.0 / 4096.0);
        assert_eq!(nearly * nearly - square, 0f32);
        let mut head = [nearly, square];
        rope_halves(&mut head, &[[nearly, 1.0]]);
        assert_eq!(head[0], 2f32.powi(-24));
    }

    #[test]
    fn pairs_are_halves_or_neighbours_and_the_rest_stays() {
        let quarter_turn = [[0.0, 1.0], [0.0, 1.0]];
        let mut head = [1.0, 2.0, 3.0, 4.0, 5.0];
        rope_halves(&mut head, &quarter_turn);
        assert_eq!(head, [-3.0, -4.0, 1.0, 2.0, 5.0]);
        let mut head = [1.0, 2.0, 3.0, 4.0, 5.0];
        rope_adjacent(&mut head, &quarter_turn);
        assert_eq!(head, [-2.0, 1.0, -4.0, 3.0, 5.0]);
    }

    #[test]
    fn relu_makes_positive_zeros() {
        let mut row = [f32::NAN, -0.0, -1.0, 2.0];
        relu(&mut row);
        assert_eq!(row.map(f32::to_bits), [0, 0, 0, 2f32.to_bits()]);
        square(&mut row);
        assert_eq!(row[3], 4.0);
    }

    #[test]
    fn the_first_bad_value_is_found_anywhere() {
        let mut values = vec![1.0f32; 1000];
        assert_eq!(first_non_finite(&values), None);
        for at in [999, 600, 256, 255, 0] {
            values[at] = if at % 2 == 0 {
                f32::NAN
            } else {
                f32::NEG_INFINITY
            };
            assert_eq!(first_non_finite(&values), Some(at));
        }
    }
}
