//! Products of dense rows with activations, many rows to a call: which of the row products of a
//! profile applies depends on how many tokens are computed together.
#![forbid(unsafe_code)]

use super::half::{Half, widen_f16};
use super::lanes::{self, Order};
use crate::flavor::bitnet32_f16;

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

    /// Rows that lie one after the other, from `first` on.
    pub fn from(elements: &'a [T], stride: usize, first: usize) -> Self {
        Rows {
            elements: &elements[first * stride..],
            stride,
        }
    }

    /// Row `index`, `len` elements of it.
    #[inline(always)]
    pub fn row(&self, index: usize, len: usize) -> &'a [T] {
        &self.elements[index * self.stride..][..len]
    }
}

/// Rows of codes that mean −2, −1, 1 and 2, four a byte: their values are multiplied as f32 rows
/// are.
#[derive(Debug, Clone, Copy)]
pub enum Codes<'a> {
    /// Nothing but codes.
    Qk256(Rows<'a, u8>),
    /// Blocks with a scale in each.
    Bitnet32F16(Rows<'a, [u8; bitnet32_f16::BLOCK_BYTES]>),
    /// Codes, and a scale for every block beside them.
    Split32(Rows<'a, u8>, Rows<'a, f32>),
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

/// bfloat16 rows · bfloat16 activations of so many elements.
#[inline(always)]
pub fn dots_bf16<const L: usize, O: Order<L>>(
    rows: Rows<Half>,
    xs: Rows<Half>,
    len: usize,
    mut grid: Grid,
) {
    for token in 0..grid.tokens {
        let x = xs.row(token, len);
        for (r, out) in grid.token(token).iter_mut().enumerate() {
            *out = O::dot_bf16(rows.row(r, len), x);
        }
    }
}

/// Whether products of f32 rows of so many elements are tiles: where there are enough tokens and
/// the rows are whole vectors. Otherwise they are dot products.
#[inline(always)]
pub fn are_tiles<const L: usize, O: Order<L>>(together: usize, len: usize) -> bool {
    together >= O::F32_TILES_FROM && len.is_multiple_of(L)
}

/// f32 rows · activations of so many elements, of some of the tokens computed `together`.
#[inline(always)]
pub fn dots_f32<const L: usize, O: Order<L>>(
    rows: Rows<[u8; 4]>,
    xs: Rows<f32>,
    len: usize,
    together: usize,
    mut grid: Grid,
) {
    let tiles = are_tiles::<L, O>(together, len);
    for token in 0..grid.tokens {
        let x = xs.row(token, len);
        for (r, out) in grid.token(token).iter_mut().enumerate() {
            let row = rows.row(r, len);
            *out = if tiles {
                lanes::tile::<L, O, _>(row, x, f32::from_le_bytes)
            } else {
                lanes::dot_f32::<L, O>(row, x)
            };
        }
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

/// Whether [`dots_codes`] is there: rows are decoded instead.
pub fn takes_codes() -> bool {
    false
}

/// Rows of codes · activations.
#[inline(always)]
pub fn dots_codes<const L: usize, O: Order<L>>(
    _rows: Codes,
    _xs: Rows<f32>,
    _len: usize,
    _together: usize,
    _grid: Grid,
) {
    unreachable!("rows of codes are decoded");
}
