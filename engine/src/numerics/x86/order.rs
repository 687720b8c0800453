//! The products of each format in the order of a profile, with vectors of either width: which of
//! the ways to compute them it is.
//!
//! The functions are inlined into callers that enable the instructions. They are `unsafe` because
//! of that alone.

use std::arch::x86_64::*;
use std::marker::PhantomData;

use super::rows::{Bfloats, Bitnet32F16, Qk256, Row, Split32};
use super::sums::{Factors, Finish, MOST, products};
use super::vector::Vector;
use super::{heads, pairs};
use crate::flavor::{bitnet32_f16, qk256};
use crate::numerics::dense::{self, Codes, Grid, Rows};
use crate::numerics::half::{Half, widen_bf16, widen_f16};
use crate::numerics::lanes::Order;

/// Accumulators two apart meet first; what filled no step is added in double precision.
struct Halves<const L: usize, O>(PhantomData<O>);

/// The same, but what filled no step is fused in one by one.
struct Singles<const L: usize, O>(PhantomData<O>);

/// One vector of sums, which is filled always.
struct Tile<const L: usize, O>(PhantomData<O>);

/// Products are added separately.
struct Separate<const L: usize, O>(PhantomData<O>);

impl<const L: usize, O: Order<L>> Finish<&[Half], &[Half]> for Halves<L, O> {
    const SUMS: usize = 4 * L;

    #[inline(always)]
    fn output(sums: &[f32; MOST], a: &[Half], b: &[Half], taken: usize) -> f32 {
        let mut sum = f64::from(O::sum_dot(met(sums)));
        for (&a, &b) in a[taken..].iter().zip(&b[taken..]) {
            sum += f64::from(widen_f16(a) * widen_f16(b));
        }
        sum as f32
    }
}

impl<const L: usize, O: Order<L>, A: Row> Finish<A, &[f32]> for Singles<L, O> {
    const SUMS: usize = 4 * L;

    #[inline(always)]
    fn output(sums: &[f32; MOST], a: A, b: &[f32], taken: usize) -> f32 {
        let mut sum = O::sum_dot(met(sums));
        for (at, &x) in b.iter().enumerate().skip(taken) {
            sum = a.single(at).mul_add(x, sum);
        }
        sum
    }
}

impl<const L: usize, O: Order<L>, A: Row> Finish<A, &[f32]> for Tile<L, O> {
    const SUMS: usize = L;

    #[inline(always)]
    fn output(sums: &[f32; MOST], _: A, _: &[f32], _: usize) -> f32 {
        O::sum_tile(*sums.first_chunk().expect("at least L lanes"))
    }
}

impl<const L: usize, O: Order<L>> Finish<Bfloats<'_>, Bfloats<'_>> for Separate<L, O> {
    const SUMS: usize = O::BF16_SUMS;
    const FUSED: bool = false;

    #[inline(always)]
    fn output(sums: &[f32; MOST], a: Bfloats, b: Bfloats, taken: usize) -> f32 {
        let mut sum = O::sum_bf16(sums);
        for (&a, &b) in a.0[taken..].iter().zip(&b.0[taken..]) {
            sum += f64::from(widen_bf16(a) * widen_bf16(b));
        }
        sum as f32
    }
}

#[inline(always)]
fn met<const L: usize>(sums: &[f32; MOST]) -> [f32; L] {
    std::array::from_fn(|l| (sums[l] + sums[l + 2 * L]) + (sums[l + L] + sums[l + 3 * L]))
}

/// See [`dense::dots_f16`].
///
/// # Safety
/// The instructions of `V` are there.
#[inline(always)]
pub unsafe fn dots_f16<V: Vector, const L: usize, O: Order<L>>(
    rows: Rows<Half>,
    xs: Rows<Half>,
    len: usize,
    together: usize,
    grid: Grid,
) {
    if const { !O::F16_IN_SINGLES } {
        return dense::dots_f16::<L, O>(rows, xs, len, together, grid);
    }
    let factors = Factors {
        row: |r| rows.row(r, len),
        x: |t| xs.row(t, len),
        len,
        stride: 2 * rows.stride,
    };
    // SAFETY: the instructions are there.
    unsafe {
        if const { V::LANES == heads::LANES && L == heads::LANES } && heads::suits(len) {
            heads::dots(rows, xs, len, grid);
        } else {
            products::<V, _, _, Halves<L, O>>(factors, grid);
        }
    }
}

/// See [`dense::tiles_f16`].
///
/// # Safety
/// The instructions of `V` are there.
#[inline(always)]
pub unsafe fn tiles_f16<V: Vector, const L: usize, O: Order<L>>(
    rows: Rows<Half>,
    xs: Rows<f32>,
    len: usize,
    grid: Grid,
) {
    // SAFETY: the instructions are there.
    unsafe { tiles::<V, L, O, _>(|r| rows.row(r, len), 2 * rows.stride, xs, len, grid) }
}

/// See [`dense::dots_bf16`].
///
/// # Safety
/// The instructions of `V` are there.
#[inline(always)]
pub unsafe fn dots_bf16<V: Vector, const L: usize, O: Order<L>>(
    rows: Rows<Half>,
    xs: Rows<Half>,
    len: usize,
    grid: Grid,
) {
    if const { V::LANES == pairs::LANES && O::BF16_PAIRS } && is_x86_feature_detected!("avx512bf16")
    {
        // SAFETY: there is the instruction, too.
        return unsafe { pairs::dots(rows, xs, len, grid) };
    }
    if const { O::BF16_SUMS == 0 } {
        return dense::dots_bf16::<L, O>(rows, xs, len, grid);
    }
    let factors = Factors {
        row: |r| Bfloats(rows.row(r, len)),
        x: |t| Bfloats(xs.row(t, len)),
        len,
        stride: 2 * rows.stride,
    };
    // SAFETY: the instructions are there.
    unsafe { products::<V, _, _, Separate<L, O>>(factors, grid) }
}

/// See [`dense::dots_f32`].
///
/// # Safety
/// The instructions of `V` are there.
#[inline(always)]
pub unsafe fn dots_f32<V: Vector, const L: usize, O: Order<L>>(
    rows: Rows<[u8; 4]>,
    xs: Rows<f32>,
    len: usize,
    together: usize,
    grid: Grid,
) {
    let row = |r| rows.row(r, len);
    // SAFETY: the instructions are there.
    unsafe { singles::<V, L, O, _>(row, 4 * rows.stride, xs, len, together, grid) }
}

/// There is [`dots_codes`].
pub fn takes_codes() -> bool {
    true
}

/// See [`Arithmetic::dots_codes`](crate::numerics::Arithmetic::dots_codes).
///
/// # Safety
/// The instructions of `V` are there.
#[inline(always)]
pub unsafe fn dots_codes<V: Vector, const L: usize, O: Order<L>>(
    rows: Codes,
    xs: Rows<f32>,
    len: usize,
    together: usize,
    grid: Grid,
) {
    let blocks = len.div_ceil(bitnet32_f16::BLOCK);
    // SAFETY: the instructions are there.
    unsafe {
        match rows {
            Codes::Qk256(rows) => {
                let row_bytes = len.div_ceil(qk256::BLOCK) * qk256::BLOCK_BYTES;
                let row = |r| Qk256(rows.row(r, row_bytes));
                singles::<V, L, O, _>(row, rows.stride, xs, len, together, grid);
            }
            Codes::Bitnet32F16(rows) => {
                let row = |r| Bitnet32F16(rows.row(r, blocks));
                let stride = rows.stride * bitnet32_f16::BLOCK_BYTES;
                singles::<V, L, O, _>(row, stride, xs, len, together, grid);
            }
            Codes::Split32(rows, scales) => {
                let row = |r| Split32 {
                    codes: rows.row(r, 8 * blocks),
                    scales: scales.row(r, blocks),
                };
                singles::<V, L, O, _>(row, rows.stride, xs, len, together, grid);
            }
        }
    }
}

/// Rows of any format in the order of f32 rows.
///
/// # Safety
/// The instructions of `V` are there.
#[inline(always)]
unsafe fn singles<V: Vector, const L: usize, O: Order<L>, A: Row>(
    row: impl Fn(usize) -> A + Copy,
    stride: usize,
    xs: Rows<f32>,
    len: usize,
    together: usize,
    grid: Grid,
) {
    // SAFETY: the instructions are there.
    unsafe {
        if dense::are_tiles::<L, O>(together, len) {
            return tiles::<V, L, O, A>(row, stride, xs, len, grid);
        }
        let factors = Factors {
            row,
            x: |t| xs.row(t, len),
            len,
            stride,
        };
        products::<V, _, _, Singles<L, O>>(factors, grid);
    }
}

/// Tiles of rows of any format.
///
/// # Safety
/// The instructions of `V` are there.
#[inline(always)]
unsafe fn tiles<V: Vector, const L: usize, O: Order<L>, A: Row>(
    row: impl Fn(usize) -> A + Copy,
    stride: usize,
    xs: Rows<f32>,
    len: usize,
    grid: Grid,
) {
    assert!(len.is_multiple_of(L), "whole vectors");
    let factors = Factors {
        row,
        x: |t| xs.row(t, len),
        len,
        stride,
    };
    // SAFETY: the instructions are there.
    unsafe {
        if const { V::LANES == heads::LANES && L == heads::LANES } {
            heads::tiles(row, xs, len, grid);
        } else if const { L < 8 } {
            products::<__m128, _, _, Tile<L, O>>(factors, grid);
        } else {
            products::<__m256, _, _, Tile<L, O>>(factors, grid);
        }
    }
}
