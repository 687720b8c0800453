//! The arithmetic that no build has: every operation in double precision, rounded once at its end.
//!
//! It is what the others are approximations of, so that an arithmetic nobody knows can be judged by
//! its error instead of by its distance from somebody else's error. What belongs to the model stays
//! as it is: the storage formats, the int8 of the activations, the halves of the cache.
#![forbid(unsafe_code)]

use std::sync::atomic::AtomicUsize;

use super::Arithmetic;
use super::dense::{Codes, Grid, Rows};
use super::elementwise;
use super::half::{Half, widen_bf16, widen_f16};
use crate::kernels::BlockOrder;
use crate::kernels::activation::RowScale;

/// See the module.
pub struct OracleF64;

/// `Σ a·b`: the products are exact, their sum is rounded a few times less than a single needs.
fn dot<A: Copy, B: Copy>(
    a: &[A],
    b: &[B],
    widen_a: impl Fn(A) -> f32,
    widen_b: impl Fn(B) -> f32,
) -> f32 {
    let product = |(&a, &b): (&A, &B)| f64::from(widen_a(a)) * f64::from(widen_b(b));
    a.iter().zip(b).map(product).sum::<f64>() as f32
}

fn dots<A, B>(
    rows: Rows<A>,
    xs: Rows<B>,
    len: usize,
    mut grid: Grid,
    dot: impl Fn(&[A], &[B]) -> f32,
) {
    for token in 0..grid.tokens {
        let x = xs.row(token, len);
        for (r, out) in grid.token(token).iter_mut().enumerate() {
            *out = dot(rows.row(r, len), x);
        }
    }
}

fn each(row: &mut [f32], operation: impl Fn(f64) -> f64) {
    for x in row {
        *x = operation(f64::from(*x)) as f32;
    }
}

fn pairs(row: &mut [f32], others: &[f32], operation: impl Fn(f64, f64) -> f64) {
    for (x, &other) in row.iter_mut().zip(others) {
        *x = operation(f64::from(*x), f64::from(other)) as f32;
    }
}

/// Turns a pair by an angle of which cosine and sine are given.
fn turned([x, y]: [f32; 2], [cos, sin]: [f32; 2]) -> [f32; 2] {
    let [x, y, cos, sin] = [x, y, cos, sin].map(f64::from);
    [x * cos - y * sin, x * sin + y * cos].map(|turned| turned as f32)
}

impl Arithmetic for OracleF64 {
    fn unrounded(&self, _tokens: usize, _cols: usize) -> bool {
        true
    }

    fn adds_halves_in_singles(&self) -> bool {
        false
    }

    fn block_order(&self) -> BlockOrder {
        BlockOrder::WholeBlocks
    }

    fn instructions(&self) -> &'static str {
        "scalar"
    }

    fn round_bf16(&self, row: &[f32], out: &mut [Half]) {
        elementwise::round_row_bf16(row, out);
    }

    fn softmax(&self, row: &mut [f32], scale: f32, visible: usize) {
        let (seen, masked) = row.split_at_mut(visible);
        masked.fill(0.0);
        let scaled = |x: &f32| f64::from(*x) * f64::from(scale);
        let max = seen.iter().map(scaled).fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = seen.iter().map(|x| (scaled(x) - max).exp()).collect();
        let sum: f64 = powers.iter().sum();
        for (x, power) in seen.iter_mut().zip(powers) {
            *x = (power / sum) as f32;
        }
    }

    fn silu(&self, row: &mut [f32]) {
        each(row, |x| x / (1.0 + (-x).exp()));
    }

    fn round_f16(&self, row: &[f32], out: &mut [Half]) {
        elementwise::round_row_f16(row, out);
    }

    fn quantise_int8(&self, row: &[f32], out: &mut [i8], scale: &mut RowScale) {
        elementwise::quantise_int8(row, out, scale);
    }

    fn rms_norm(&self, row: &[f32], epsilon: f32, out: &mut [f32], _serial: &AtomicUsize) {
        let squares = row.iter().map(|&x| f64::from(x) * f64::from(x));
        let mean = squares.sum::<f64>() / row.len() as f64;
        let rms = (mean + f64::from(epsilon)).sqrt();
        for (out, &x) in out.iter_mut().zip(row) {
            *out = (f64::from(x) / rms) as f32;
        }
    }

    fn multiply(&self, row: &mut [f32], factors: &[f32]) {
        pairs(row, factors, |x, factor| x * factor);
    }

    fn add(&self, row: &mut [f32], summands: &[f32]) {
        pairs(row, summands, |x, summand| x + summand);
    }

    fn relu(&self, row: &mut [f32]) {
        each(row, |x| x.max(0.0));
    }

    fn square(&self, row: &mut [f32]) {
        each(row, |x| x * x);
    }

    fn rope_halves(&self, head: &mut [f32], angles: &[[f32; 2]]) {
        let half = angles.len();
        for (i, &angle) in angles.iter().enumerate() {
            [head[i], head[i + half]] = turned([head[i], head[i + half]], angle);
        }
    }

    fn rope_adjacent(&self, head: &mut [f32], angles: &[[f32; 2]]) {
        for (i, &angle) in angles.iter().enumerate() {
            [head[2 * i], head[2 * i + 1]] = turned([head[2 * i], head[2 * i + 1]], angle);
        }
    }

    fn dots_f16(&self, rows: Rows<Half>, xs: Rows<Half>, len: usize, _: usize, grid: Grid) {
        dots(rows, xs, len, grid, |a, b| dot(a, b, widen_f16, widen_f16));
    }

    fn tiles_f16(&self, rows: Rows<Half>, xs: Rows<f32>, len: usize, grid: Grid) {
        dots(rows, xs, len, grid, |a, b| dot(a, b, widen_f16, |x| x));
    }

    fn dots_bf16(&self, rows: Rows<Half>, xs: Rows<Half>, len: usize, grid: Grid) {
        dots(rows, xs, len, grid, |a, b| {
            dot(a, b, widen_bf16, widen_bf16)
        });
    }

    fn dots_f32(&self, rows: Rows<[u8; 4]>, xs: Rows<f32>, len: usize, _: usize, grid: Grid) {
        dots(rows, xs, len, grid, |a, b| {
            dot(a, b, f32::from_le_bytes, |x| x)
        });
    }

    fn takes_codes(&self) -> bool {
        false
    }

    fn dots_codes(&self, _: Codes, _: Rows<f32>, _: usize, _: usize, _: Grid) {
        unreachable!("rows of codes are decoded");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_singles_lose_is_kept() {
        let row = [16_777_216f32, 1.0, 1.0, 1.0, -16_777_216.0].map(f32::to_le_bytes);
        let mut out = [0.0];
        let rows = Rows::of_one(&row[..]);
        OracleF64.dot_f32(rows, &[1.0; 5], 1, &mut out);
        assert_eq!(out, [3.0]);
    }

    #[test]
    fn nothing_that_is_hidden_has_a_share_and_the_shares_are_one() {
        let mut row = [0.5, -3.0, 2.0, 99.0];
        OracleF64.softmax(&mut row, 0.125, 3);
        assert_eq!(row[3], 0.0);
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(row[2] > row[0] && row[0] > row[1]);
    }
}
