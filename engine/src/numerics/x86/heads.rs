//! The order of 16 lanes, where sixteen results are added up together: what attention multiplies,
//! short rows that are widened once for some tokens, and tiles of rows of any format.

use std::arch::x86_64::*;

use super::rows::Row;
use super::sums::prefetch;
use super::vector::Vector;
use crate::numerics::dense::{Grid, Rows};
use crate::numerics::half::Half;

/// Lanes of the only order this is: every sum by halving.
pub const LANES: usize = 16;
/// Elements a step of a dot product takes: four accumulators.
const STEP: usize = 4 * LANES;
/// The longest rows, in steps.
const MOST_STEPS: usize = 4;

/// Whether [`dots`] is made for rows of that length.
pub fn suits(len: usize) -> bool {
    len.is_multiple_of(STEP) && (1..=MOST_STEPS).contains(&(len / STEP))
}

/// Dot products of short rows with some tokens.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
pub fn dots(rows: Rows<Half>, xs: Rows<Half>, len: usize, mut grid: Grid) {
    let mut token = 0;
    while token < grid.tokens {
        token += match len / STEP {
            1 => some::<1>(rows, xs, token, &mut grid),
            2 => some::<2>(rows, xs, token, &mut grid),
            3 => some::<3>(rows, xs, token, &mut grid),
            _ => some::<4>(rows, xs, token, &mut grid),
        };
    }
}

/// Those of one token, or of four where there are so many; returns how many.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn some<const S: usize>(rows: Rows<Half>, xs: Rows<Half>, token: usize, grid: &mut Grid) -> usize {
    let x = |t: usize| xs.row(token + t, S * STEP);
    if grid.tokens - token >= 4 {
        dots_of::<S, 4>(rows, [x(0), x(1), x(2), x(3)], token, grid)
    } else {
        dots_of::<S, 1>(rows, [x(0)], token, grid)
    }
}

/// Those of `T` tokens from `first` on with rows of `S` steps; returns `T`.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn dots_of<const S: usize, const T: usize>(
    rows: Rows<Half>,
    xs: [&[Half]; T],
    first: usize,
    grid: &mut Grid,
) -> usize {
    let mut widened = [[[[0f32; LANES]; 4]; S]; T];
    for (x, widened) in xs.iter().zip(&mut widened) {
        let vectors = widened.as_flattened_mut().iter_mut();
        for (vector, x) in vectors.zip(x.as_chunks::<LANES>().0) {
            store(vector, widen(x));
        }
    }
    let mut placed = [[[0f32; LANES]; LANES]; T];
    for group in (0..grid.rows).step_by(LANES) {
        let last = grid.rows.min(group + LANES);
        for r in 0..last - group {
            let halves = rows.row(group + r, S * STEP);
            let bytes = halves.as_ptr_range();
            prefetch(
                bytes.start.cast(),
                bytes.end.cast(),
                2 * LANES * rows.stride,
            );
            let halves = halves.as_chunks::<LANES>().0;
            // No closures on vectors: what is not inlined would pass them through memory.
            let mut row = [[_mm512_setzero_ps(); 4]; S];
            for (vector, halves) in row.as_flattened_mut().iter_mut().zip(halves) {
                *vector = widen(halves);
            }
            for (x, placed) in widened.iter().zip(&mut placed) {
                let mut sums = [_mm512_setzero_ps(); 4];
                for (row, x) in row.iter().zip(x) {
                    for ((sum, row), x) in sums.iter_mut().zip(row).zip(x) {
                        *sum = _mm512_fmadd_ps(*row, load(x), *sum);
                    }
                }
                let [a, b, c, d] = sums;
                let met = _mm512_add_ps(_mm512_add_ps(a, c), _mm512_add_ps(b, d));
                store(&mut placed[place_of(r)], met);
            }
        }
        for (t, placed) in placed.iter().enumerate() {
            let mut sums = [_mm512_setzero_ps(); LANES];
            for (sum, placed) in sums.iter_mut().zip(placed) {
                *sum = load(placed);
            }
            let mut all = [0f32; LANES];
            store(&mut all, add_up(sums));
            grid.token(first + t)[group..last].copy_from_slice(&all[..last - group]);
        }
    }
    T
}

/// Tiles of rows of whole vectors with many tokens.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
pub fn tiles<A: Row>(row: impl Fn(usize) -> A, xs: Rows<f32>, len: usize, mut grid: Grid) {
    const SIDE: usize = 4;
    assert!(len.is_multiple_of(LANES), "whole vectors");
    for token in (0..grid.tokens).step_by(SIDE) {
        let tokens = SIDE.min(grid.tokens - token);
        // Rows and tokens beyond the last are the last one again.
        let xs: [&[[f32; LANES]]; SIDE] =
            std::array::from_fn(|t| xs.row(token + t.min(tokens - 1), len).as_chunks().0);
        for first in (0..grid.rows).step_by(SIDE) {
            let last = grid.rows.min(first + SIDE);
            let rows: [A; SIDE] = std::array::from_fn(|r| row((first + r).min(last - 1)));
            assert!(rows.iter().all(|row| row.elements() >= len), "whole rows");
            let mut sums = [[_mm512_setzero_ps(); SIDE]; SIDE];
            for at in 0..len / LANES {
                let mut vectors = [_mm512_setzero_ps(); SIDE];
                for (vector, row) in vectors.iter_mut().zip(rows) {
                    // SAFETY: the instructions are there, and so many elements.
                    *vector = unsafe { row.vector::<__m512>(LANES * at) };
                }
                for (sums, x) in sums.iter_mut().zip(xs) {
                    let x = load(&x[at]);
                    for (sum, row) in sums.iter_mut().zip(vectors) {
                        *sum = _mm512_fmadd_ps(row, x, *sum);
                    }
                }
            }
            let mut placed = [_mm512_setzero_ps(); LANES];
            for (i, sum) in sums.as_flattened().iter().enumerate() {
                placed[place_of(i)] = *sum;
            }
            let mut all = [[0f32; SIDE]; SIDE];
            let flat = all.as_flattened_mut().as_chunks_mut().0;
            store(&mut flat[0], add_up(placed));
            for (t, all) in all.iter().take(tokens).enumerate() {
                let out = &mut grid.token(token + t)[first..last];
                out.copy_from_slice(&all[..last - first]);
            }
        }
    }
}

/// Where among the operands of [`add_up`] the one is whose sum comes out at `index`.
const fn place_of(index: usize) -> usize {
    4 * (index % 4) + index / 4
}

/// Halves the lanes of sixteen vectors until one is left of each: the tree of 16 lanes.
#[inline]
#[target_feature(enable = "avx512f")]
fn add_up(v: [__m512; LANES]) -> __m512 {
    let zero = _mm512_setzero_ps();
    let (mut eight, mut four, mut two) = ([zero; 8], [zero; 4], [zero; 2]);
    for (sum, [a, b]) in eight.iter_mut().zip(v.as_chunks().0) {
        let low = _mm512_shuffle_f32x4::<0x44>(*a, *b);
        *sum = _mm512_add_ps(low, _mm512_shuffle_f32x4::<0xee>(*a, *b));
    }
    for (sum, [a, b]) in four.iter_mut().zip(eight.as_chunks().0) {
        let low = _mm512_shuffle_f32x4::<0x88>(*a, *b);
        *sum = _mm512_add_ps(low, _mm512_shuffle_f32x4::<0xdd>(*a, *b));
    }
    for (sum, [a, b]) in two.iter_mut().zip(four.as_chunks().0) {
        let low = _mm512_shuffle_ps::<0x44>(*a, *b);
        *sum = _mm512_add_ps(low, _mm512_shuffle_ps::<0xee>(*a, *b));
    }
    let low = _mm512_shuffle_ps::<0x88>(two[0], two[1]);
    _mm512_add_ps(low, _mm512_shuffle_ps::<0xdd>(two[0], two[1]))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn widen(halves: &[Half; LANES]) -> __m512 {
    // SAFETY: the reference vouches for a vector of halves.
    unsafe { Vector::halves(halves.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(values: &[f32; LANES]) -> __m512 {
    // SAFETY: the reference vouches for a vector of singles.
    unsafe { Vector::load(values.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(values: &mut [f32; LANES], vector: __m512) {
    // SAFETY: the reference vouches for room for a vector.
    unsafe { Vector::store(vector, values.as_mut_ptr()) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numerics::lanes::halve;

    #[test]
    fn sixteen_sums_are_those_of_the_tree_one_by_one() {
        if !is_x86_feature_detected!("avx512f") {
            return println!("this machine has no AVX-512");
        }
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 1e5 - 80.0
        };
        let values: [[f32; LANES]; LANES] =
            std::array::from_fn(|_| std::array::from_fn(|_| next()));
        let mut out = [0f32; LANES];
        // SAFETY: the instructions are there.
        unsafe {
            let mut placed = [_mm512_setzero_ps(); LANES];
            for (i, values) in values.iter().enumerate() {
                placed[place_of(i)] = load(values);
            }
            store(&mut out, add_up(placed));
        }
        assert_eq!(out.map(f32::to_bits), values.map(|v| halve(v).to_bits()));
    }
}
