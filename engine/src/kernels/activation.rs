//! Per-token int8 quantisation of activations for the ternary product.
//!
//! Every step is part of the result: the largest magnitude in double with a floor of 1e-5, one
//! double division rounded to `f32`, the product rounded to `f32` before it is rounded to the
//! nearest integer, ties to even, then the clamp.
#![forbid(unsafe_code)]

use crate::encoding::author::nearest_int;

/// Rows are padded to whole blocks of this many.
pub const BLOCK: usize = crate::flavor::i2_s_p128::BLOCK;

/// The least a largest magnitude counts as.
const FLOOR: f64 = 0.00001;

/// What one quantised row needs besides its values.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RowScale {
    /// What the activations were multiplied by.
    pub scale: f32,
    /// Sum of the quantised values, at most 127 times the row's length.
    pub sum: i32,
}

/// Quantises one row. `out` may be longer than the row: the rest is set to zero, which adds
/// nothing to any dot product.
#[inline(always)]
pub fn quantise_row(row: &[f32], out: &mut [i8]) -> RowScale {
    let scale = (127.0 / largest(row)) as f32;
    let (values, padding) = out.split_at_mut(row.len());
    for (out, &x) in values.iter_mut().zip(row) {
        *out = nearest_int(x * scale).clamp(-128, 127) as i8;
    }
    padding.fill(0);
    let sum = values.iter().map(|&value| i32::from(value)).sum();
    RowScale { scale, sum }
}

/// The largest magnitude, at least 1e-5. Without a NaN the order does not matter, and lanes are
/// fast; the serial order is that of the reference, where a NaN takes over and is taken over
/// alike.
#[inline(always)]
fn largest(row: &[f32]) -> f64 {
    const LANES: usize = 32;
    let (vectors, rest) = row.as_chunks::<LANES>();
    let (mut lanes, mut nans) = ([0f32; LANES], [0u32; LANES]);
    for vector in vectors {
        for (l, x) in vector.iter().enumerate() {
            lanes[l] = if lanes[l] > x.abs() {
                lanes[l]
            } else {
                x.abs()
            };
            nans[l] |= u32::from(x.is_nan());
        }
    }
    let larger = |max: f64, magnitude: f64| if max > magnitude { max } else { magnitude };
    if nans == [0; LANES] {
        let all = lanes.iter().chain(rest);
        all.fold(FLOOR, |max, &x| larger(max, f64::from(x).abs()))
    } else {
        row.iter()
            .fold(FLOOR, |max, &x| larger(max, f64::from(x).abs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_even() {
        let ties = [0.5f32, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5];
        assert_eq!(ties.map(nearest_int), [0, 2, 2, 0, -2, -2, 126]);
    }

    #[test]
    fn a_row_by_hand() {
        // max = 2, scale = 63.5; −1 · 63.5 = −63.5 is a tie and goes to −64.
        let mut out = [9i8; 6];
        let row = quantise_row(&[2.0, -1.0, 0.25, 0.0], &mut out);
        assert_eq!(out, [127, -64, 16, 0, 0, 0]);
        assert_eq!((row.scale, row.sum), (63.5, 79));
    }

    #[test]
    fn tiny_rows_meet_the_floor() {
        let mut out = [1i8; 3];
        let row = quantise_row(&[1e-6, -1e-40, 0.0], &mut out);
        assert_eq!(row.scale, 12_700_000.0);
        assert_eq!(out, [13, 0, 0]);
    }

    #[test]
    fn an_infinite_activation_gives_zeros_and_no_panic() {
        let mut out = [1i8; 2];
        let row = quantise_row(&[f32::INFINITY, 1.0], &mut out);
        assert_eq!((row.scale, out), (0.0, [0, 0]));
    }

    #[test]
    fn a_nan_takes_over_and_is_taken_over_wherever_it_is() {
        for at in [0, 31, 63, 64, 69] {
            let mut row = [0.5f32; 70];
            (row[3], row[at]) = (2.0, f32::NAN);
            let serial = row.iter().fold(FLOOR, |max, &x| {
                let magnitude = f64::from(x).abs();
                if max > magnitude { max } else { magnitude }
            });
            assert_eq!(largest(&row).to_bits(), serial.to_bits(), "at {at}");
        }
    }

    #[test]
    fn empty_rows_are_rows() {
        assert_eq!(quantise_row(&[], &mut []).sum, 0);
    }
}
