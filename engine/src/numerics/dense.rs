//! Products of dense rows with activations, many rows to a call: which of the row products of a
//! profile applies depends on how many tokens are computed together.
#![forbid(unsafe_code)]

use super::half::{Half, widen_f16};
use super::lanes::{self, Order};

/// Rows of a matrix that need not lie next to each other.
#[derive(Debug)]
pub struct Rows<'a, T> {
    /// Elements, from the first row's first on.
    pub elements: &'a [T],
    /// Elements from one row's start to the next one's.
    pub stride: usize,
}

impl<T> Clone for Rows<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Rows<'_, T> {}

impl<'a, T> Rows<'a, T> {
    /// A single row.
    pub fn of_one(row: &'a [T]) -> Self {
        Rows {
            elements: row,
            stride: row.len(),
        }
    }

    /// Row `index`, `len` elements of it.
    #[inline(always)]
    pub fn row(&self, index: usize, len: usize) -> &'a [T] {
        &self.elements[index * self.stride..][..len]
    }
}

/// Where the products of some rows with some tokens go: a line for each token, with an output for
/// each row.
#[derive(Debug)]
pub struct Grid<'a> {
    /// From the first token's first output on.
    pub out: &'a mut [f32],
    /// Outputs from one token's first to the next one's.
    pub stride: usize,
    /// How many rows.
    pub rows: usize,
    /// How many tokens.
    pub tokens: usize,
}

impl<'a> Grid<'a> {
    /// Of a single token.
    pub fn of_one(out: &'a mut [f32]) -> Self {
        Grid {
            stride: out.len(),
            rows: out.len(),
            tokens: 1,
            out,
        }
    }

    /// The outputs of one token.
    #[inline(always)]
    pub fn token(&mut self, token: usize) -> &mut [f32] {
        &mut self.out[token * self.stride..][..self.rows]
    }
}

/// f16 rows · f16 activations of so many elements, of some of the tokens computed `together`.
#[inline(always)]
pub fn dots_f16<const L: usize, O: Order<L>>(
    rows: Rows<Half>,
    xs: Rows<Half>,
    len: usize,
    together: usize,
    mut grid: Grid,
) {
    for token in 0..grid.tokens {
        let x = xs.row(token, len);
        for (r, out) in grid.token(token).iter_mut().enumerate() {
            *out = O::dot_f16(rows.row(r, len), x, together);
        }
    }
}

/// `out[r]` = bfloat16 row r · bfloat16 activations.
#[inline(always)]
pub fn dot_bf16<const L: usize, O: Order<L>>(rows: Rows<Half>, x: &[Half], out: &mut [f32]) {
    for (r, out) in out.iter_mut().enumerate() {
        *out = O::dot_bf16(rows.row(r, x.len()), x);
    }
}

/// `out[r]` = f32 row r · activations of one of so many tokens: a tile where there are enough
/// of them and the rows are whole vectors, a dot product otherwise.
#[inline(always)]
pub fn dot_f32<const L: usize, O: Order<L>>(
    rows: Rows<[u8; 4]>,
    x: &[f32],
    tokens: usize,
    out: &mut [f32],
) {
    let tiles = tokens >= O::F32_TILES_FROM && x.len().is_multiple_of(L);
    for (r, out) in out.iter_mut().enumerate() {
        let row = rows.row(r, x.len());
        *out = if tiles {
            lanes::tile::<L, O, _>(row, x, f32::from_le_bytes)
        } else {
            lanes::dot_f32::<L, O>(row, x)
        };
    }
}

/// f16 rows · unrounded activations of so many elements.
#[inline(always)]
pub fn tiles_f16<const L: usize, O: Order<L>>(
    rows: Rows<Half>,
    xs: Rows<f32>,
    len: usize,
    mut grid: Grid,
) {
    for token in 0..grid.tokens {
        let x = xs.row(token, len);
        for (r, out) in grid.token(token).iter_mut().enumerate() {
            *out = lanes::tile::<L, O, _>(rows.row(r, len), x, widen_f16);
        }
    }
}
