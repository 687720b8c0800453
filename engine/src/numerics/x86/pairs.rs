//! Products of bfloat16 rows by the instruction that adds two products to a lane.

use std::arch::x86_64::*;

use crate::numerics::dense::{Grid, Rows};
use crate::numerics::half::Half;
use crate::numerics::lanes::{finish_bf16, halve};

/// Lanes of the only order this is.
pub const LANES: usize = 16;
/// Elements of a vector.
const VECTOR: usize = 2 * LANES;
/// Rows that share what is read of a token.
const ROWS: usize = 4;

/// bfloat16 rows · bfloat16 activations of so many elements.
#[target_feature(enable = "avx512f,avx512bf16")]
pub fn dots(rows: Rows<Half>, xs: Rows<Half>, len: usize, mut grid: Grid) {
    for token in 0..grid.tokens {
        let x = xs.row(token, len);
        for first in (0..grid.rows).step_by(ROWS) {
            let last = grid.rows.min(first + ROWS);
            // Rows beyond the last are the last one again.
            let row = |r: usize| rows.row((first + r).min(last - 1), len);
            let some: [&[Half]; ROWS] = std::array::from_fn(row);
            let outputs = outputs(some, x);
            let out = &mut grid.token(token)[first..last];
            out.copy_from_slice(&outputs[..last - first]);
        }
    }
}

/// Of two vectors of sums for each row.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn outputs(rows: [&[Half]; ROWS], x: &[Half]) -> [f32; ROWS] {
    let (steps, rest) = x.as_chunks::<{ 2 * VECTOR }>();
    let taken = x.len() - rest.len();
    let rows_of_steps = rows.map(|row| row.as_chunks::<{ 2 * VECTOR }>().0);
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    for (at, x) in steps.iter().enumerate() {
        let x = [load(&x[..VECTOR]), load(&x[VECTOR..])];
        for (sums, row) in sums.iter_mut().zip(rows_of_steps) {
            sums[0] = _mm512_dpbf16_ps(sums[0], load(&row[at][..VECTOR]), x[0]);
            sums[1] = _mm512_dpbf16_ps(sums[1], load(&row[at][VECTOR..]), x[1]);
        }
    }
    let mut lanes = [[[0f32; LANES]; 2]; ROWS];
    for (lanes, sum) in lanes.as_flattened_mut().iter_mut().zip(sums.as_flattened()) {
        // SAFETY: the array is as long as a vector; no alignment is asked for.
        unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), *sum) };
    }
    let mut all = [0.0; ROWS];
    for ((out, [c1, c2]), row) in all.iter_mut().zip(lanes).zip(rows) {
        let sum = f64::from(halve(c1)) + f64::from(halve(c2));
        *out = finish_bf16(sum, &row[taken..], rest);
    }
    all
}

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn load(halves: &[Half]) -> __m512bh {
    let halves: &[Half; VECTOR] = halves.try_into().expect("a vector");
    // SAFETY: the reference vouches for 64 bytes, which are any halves; no alignment is asked for.
    unsafe { std::mem::transmute(_mm512_loadu_si512(halves.as_ptr().cast())) }
}
