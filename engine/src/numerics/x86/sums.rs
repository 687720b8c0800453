//! Products of rows with tokens in the order of any profile whose lanes are singles.
//!
//! A profile's lanes and accumulators are only a matter of which element meets which running sum:
//! as many vectors as hold them all give the same bits, whatever their width.
//!
//! The functions are inlined into callers that enable the instructions. They are `unsafe` because
//! of that alone.

use std::arch::x86_64::*;

use super::rows::Row;
use super::vector::Vector;
use crate::numerics::dense::Grid;

/// Lanes of all accumulators of a dot product, for the profile with the most.
pub const MOST: usize = 64;

/// What is multiplied: rows and tokens of so many elements.
#[derive(Clone, Copy)]
pub struct Factors<R, X> {
    /// From the number of a row to the row.
    pub row: R,
    /// From the number of a token to its activations.
    pub x: X,
    /// Elements.
    pub len: usize,
    /// Bytes from one row's start to the next one's.
    pub stride: usize,
}

/// How running sums are added to, and what becomes of them.
pub trait Finish<A, B> {
    /// Running sums that elements meet in turn.
    const SUMS: usize;
    /// Whether a product is added with one rounding.
    const FUSED: bool = true;
    /// From the running sums to the output, with what filled no step: the elements from `taken` on.
    fn output(sums: &[f32; MOST], a: A, b: B, taken: usize) -> f32;
}

/// The outputs of a grid.
///
/// # Safety
/// The instructions of `V` are there.
#[inline(always)]
pub unsafe fn products<V: Vector, A: Row, B: Row, F: Finish<A, B>>(
    factors: Factors<impl Fn(usize) -> A + Copy, impl Fn(usize) -> B + Copy>,
    mut grid: Grid,
) {
    let mut token = 0;
    while token < grid.tokens {
        // SAFETY: the instructions are there.
        token += unsafe {
            // What a constant decides against is not compiled: it would be most of this crate.
            if const { F::SUMS == V::LANES } {
                group::<V, A, B, F, 1>(factors, token, &mut grid)
            } else if const { F::SUMS == 2 * V::LANES } {
                group::<V, A, B, F, 2>(factors, token, &mut grid)
            } else if const { F::SUMS == 4 * V::LANES } {
                group::<V, A, B, F, 4>(factors, token, &mut grid)
            } else if const { F::SUMS == 8 * V::LANES } {
                group::<V, A, B, F, 8>(factors, token, &mut grid)
            } else {
                unreachable!("{} sums in vectors of {}", F::SUMS, V::LANES)
            }
        };
    }
}

/// The outputs of as many tokens from `first` on as the registers hold sums of, in `N` vectors for
/// each of them and a row; returns how many.
///
/// # Safety
/// The instructions of `V` are there.
#[inline(always)]
unsafe fn group<V: Vector, A: Row, B: Row, F: Finish<A, B>, const N: usize>(
    factors: Factors<impl Fn(usize) -> A, impl Fn(usize) -> B>,
    first: usize,
    grid: &mut Grid,
) -> usize {
    // Vectors of eight have half as many registers.
    const WIDE: usize = 16;
    let one = grid.tokens - first == 1;
    // SAFETY: the instructions are there.
    unsafe {
        if const { N == 8 } {
            some::<V, A, B, F, N, 1, 1>(factors, first, grid)
        } else if one {
            if const { A::DENSE && (N == 4 || N == 2 && V::LANES == WIDE) } {
                // One stream after the other, which the processor sees coming by itself.
                some::<V, A, B, F, N, 1, 1>(factors, first, grid)
            } else if const { N == 4 && V::LANES < WIDE } {
                some::<V, A, B, F, N, 2, 1>(factors, first, grid)
            } else {
                some::<V, A, B, F, N, 4, 1>(factors, first, grid)
            }
        } else if const { N == 1 } {
            some::<V, A, B, F, N, 4, 2>(factors, first, grid)
        } else if const { N == 4 && V::LANES < WIDE } {
            some::<V, A, B, F, N, 1, 2>(factors, first, grid)
        } else {
            some::<V, A, B, F, N, 2, 2>(factors, first, grid)
        }
    }
}

/// The outputs of all rows, `R` at a time, with `T` tokens from `first` on, in `N` vectors for each
/// of both; returns `T`.
///
/// # Safety
/// The instructions of `V` are there.
#[inline(always)]
unsafe fn some<V, A, B, F, const N: usize, const R: usize, const T: usize>(
    factors: Factors<impl Fn(usize) -> A, impl Fn(usize) -> B>,
    first: usize,
    grid: &mut Grid,
) -> usize
where
    V: Vector,
    A: Row,
    B: Row,
    F: Finish<A, B>,
{
    let taken = factors.len / F::SUMS * F::SUMS;
    let mut xs = [(factors.x)(first); T];
    for (t, x) in xs.iter_mut().enumerate() {
        *x = (factors.x)(first + t);
    }
    for group in (0..grid.rows).step_by(R) {
        let last = grid.rows.min(group + R);
        let mut rows = [(factors.row)(group); R];
        for (r, row) in rows.iter_mut().enumerate() {
            // Rows beyond the last are the last one again.
            *row = (factors.row)((group + r).min(last - 1));
        }
        // SAFETY: the instructions are there.
        let sums = unsafe { sums_of::<V, A, B, F, N, R, T>(rows, xs, taken, R * factors.stride) };
        for (t, (x, sums)) in xs.iter().zip(&sums).enumerate() {
            let out = &mut grid.token(first + t)[group..last];
            for ((out, sums), row) in out.iter_mut().zip(sums).zip(rows) {
                *out = F::output(sums, row, *x, taken);
            }
        }
    }
    T
}

/// The running sums of `R` rows with `T` tokens over so many elements, in `N` vectors each. The
/// rows that come next are so many bytes further on.
///
/// # Safety
/// The instructions of `V` are there.
#[inline(always)]
unsafe fn sums_of<V, A, B, F, const N: usize, const R: usize, const T: usize>(
    rows: [A; R],
    xs: [B; T],
    taken: usize,
    further: usize,
) -> [[[f32; MOST]; R]; T]
where
    V: Vector,
    A: Row,
    B: Row,
    F: Finish<A, B>,
{
    assert!(rows.iter().all(|row| row.elements() >= taken), "whole rows");
    assert!(xs.iter().all(|x| x.elements() >= taken), "whole tokens");
    let mut lanes = [[[0f32; MOST]; R]; T];
    // SAFETY: the instructions are there. `taken` is a whole number of `N` vectors, which rows and
    // tokens have; lines of lanes hold `MOST`, which is `N` vectors or more.
    unsafe {
        let mut sums = [[[V::zero(); N]; R]; T];
        for at in (0..taken).step_by(N * V::LANES) {
            if R > 1 {
                for row in rows {
                    prefetch(row.place(at), row.place(at + N * V::LANES), further);
                }
            }
            for v in 0..N {
                let at = at + v * V::LANES;
                let mut widened = [V::zero(); R];
                for (widened, row) in widened.iter_mut().zip(rows) {
                    *widened = row.vector(at);
                }
                for (sums, x) in sums.iter_mut().zip(xs) {
                    let x: V = x.vector(at);
                    for (sums, row) in sums.iter_mut().zip(widened) {
                        sums[v] = if F::FUSED {
                            V::fuse(row, x, sums[v])
                        } else {
                            V::add(sums[v], V::multiply(row, x))
                        };
                    }
                }
            }
        }
        for (sums, lanes) in sums.iter().flatten().zip(lanes.as_flattened_mut()) {
            for (sum, lanes) in sums.iter().zip(lanes.chunks_exact_mut(V::LANES)) {
                sum.store(lanes.as_mut_ptr());
            }
        }
    }
    lanes
}

/// Asks the second level of the cache for what is so many bytes further on.
#[inline(always)]
pub fn prefetch(from: *const u8, to: *const u8, further: usize) {
    for line in (0..to.addr().wrapping_sub(from.addr())).step_by(64) {
        let ahead = from.wrapping_add(further + line);
        // SAFETY: every x86-64 has the instruction, and it reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(ahead.cast()) };
    }
}
