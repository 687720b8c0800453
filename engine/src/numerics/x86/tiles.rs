//! Tiles of half-precision rows with AVX2, in the order of 8 or 16 lanes.

use std::arch::x86_64::*;

use crate::numerics::dense::{Grid, Rows};
use crate::numerics::half::Half;
use crate::numerics::lanes::Order;

/// Lanes of a vector.
const LANES: usize = 8;
/// Rows and tokens of a tile.
const ROWS: usize = 4;
const TOKENS: usize = 2;

/// One vector of the profile's lanes for each output. The rows must be whole vectors.
#[target_feature(enable = "avx2,fma,f16c")]
pub fn tiles<const L: usize, O: Order<L>>(
    rows: Rows<Half>,
    xs: Rows<f32>,
    len: usize,
    mut grid: Grid,
) {
    assert!(len.is_multiple_of(L), "whole vectors");
    for token in (0..grid.tokens).step_by(TOKENS) {
        let tokens = TOKENS.min(grid.tokens - token);
        // Rows and tokens beyond the last are the last one again.
        let xs = std::array::from_fn(|t| xs.row(token + t.min(tokens - 1), len));
        for first in (0..grid.rows).step_by(ROWS) {
            let last = grid.rows.min(first + ROWS);
            let rows = std::array::from_fn(|r| rows.row((first + r).min(last - 1), len));
            let mut lanes = [[[0f32; 16]; ROWS]; TOKENS];
            match (L / LANES, tokens) {
                (1, 1) => sums::<1, 1>(rows, [xs[0]], &mut lanes),
                (1, _) => sums::<1, TOKENS>(rows, xs, &mut lanes),
                (_, 1) => sums::<2, 1>(rows, [xs[0]], &mut lanes),
                _ => sums::<2, TOKENS>(rows, xs, &mut lanes),
            }
            for (t, lanes) in lanes.iter().take(tokens).enumerate() {
                let out = &mut grid.token(token + t)[first..last];
                for (out, lanes) in out.iter_mut().zip(lanes) {
                    *out = O::sum_tile(*lanes.first_chunk().expect("at least L lanes"));
                }
            }
        }
    }
}

/// The running sums, in `V` vectors for each row and token.
#[target_feature(enable = "avx2,fma,f16c")]
fn sums<const V: usize, const T: usize>(
    rows: [&[Half]; ROWS],
    xs: [&[f32]; T],
    lanes: &mut [[[f32; 16]; ROWS]; TOKENS],
) {
    let rows: [&[[Half; LANES]]; ROWS] = rows.map(|row| row.as_chunks().0);
    let xs: [&[[f32; LANES]]; T] = xs.map(|x| x.as_chunks().0);
    let mut sums = [[[_mm256_setzero_ps(); V]; ROWS]; T];
    for at in (0..xs[0].len()).step_by(V) {
        for v in 0..V {
            // No closure on vectors: what is not inlined would pass them through memory.
            let mut vectors = [_mm256_setzero_ps(); ROWS];
            for (vector, row) in vectors.iter_mut().zip(rows) {
                *vector = widen(&row[at + v]);
            }
            for (sums, x) in sums.iter_mut().zip(xs) {
                let x = load(&x[at + v]);
                for (sums, row) in sums.iter_mut().zip(vectors) {
                    sums[v] = _mm256_fmadd_ps(row, x, sums[v]);
                }
            }
        }
    }
    let written = sums.iter().flatten().zip(lanes.iter_mut().flatten());
    for (sums, lanes) in written {
        for (sum, lanes) in sums.iter().zip(lanes.as_chunks_mut::<LANES>().0) {
            // SAFETY: the array has room for a vector, and the store asks for no alignment.
            unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), *sum) };
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,f16c")]
fn widen(halves: &[Half; LANES]) -> __m256 {
    // SAFETY: the reference vouches for 16 readable bytes, and the load asks for no alignment.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(halves.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(values: &[f32; LANES]) -> __m256 {
    // SAFETY: the reference vouches for eight readable floats, and the load asks for no alignment.
    unsafe { _mm256_loadu_ps(values.as_ptr()) }
}
