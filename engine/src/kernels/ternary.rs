//! What all kernels of I2_S share: the layout they read, and the float operations behind the
//! exact integer sum.
#![forbid(unsafe_code)]

use super::activation::RowScale;
use super::gemm::{Form, Gemm, Inputs, Stored, Tile};
use crate::flavor::i2_s_p128::BLOCK;
use crate::pool::Band;

/// From the sum of code times activation to the output. Taking the sum of activations off turns
/// codes 0..2 into −1..+1. The order of these operations is part of the result.
#[inline(always)]
pub fn finish(dot: i32, activation: RowScale, scale: f32) -> f32 {
    (dot as f32 - activation.sum as f32) / activation.scale * scale
}

/// The rows of a band, and the tokens that meet them.
pub struct Rows<'a> {
    codes: &'a [u8],
    cols: usize,
    inputs: Inputs<'a>,
    /// The one scale of the matrix.
    pub scale: f32,
}

impl<'a> Rows<'a> {
    /// Those of a band.
    pub fn of(weights: &'a Stored, inputs: &Inputs<'a>, band: &Band) -> Self {
        let cols = weights.shape.cols.next_multiple_of(BLOCK);
        let rows = band.rows();
        assert_eq!(
            inputs.int8.len(),
            inputs.tokens * cols,
            "int8 of all tokens"
        );
        Rows {
            codes: &weights.bytes[rows.start * cols / 4..rows.end * cols / 4],
            cols,
            inputs: *inputs,
            scale: weights.scales[0],
        }
    }

    /// Columns, padding included: a whole number of blocks.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The codes of a row, counted from the band's first.
    pub fn row(&self, row: usize) -> &'a [u8] {
        &self.codes[row * self.cols / 4..(row + 1) * self.cols / 4]
    }

    /// The activations of a token.
    pub fn token(&self, token: usize) -> &'a [i8] {
        &self.inputs.int8[token * self.cols..(token + 1) * self.cols]
    }

    /// The activations of some tokens, one after the other.
    pub fn tokens(&self, first: usize, count: usize) -> &'a [i8] {
        &self.inputs.int8[first * self.cols..(first + count) * self.cols]
    }

    /// Scale and sum of a token.
    pub fn activation(&self, token: usize) -> RowScale {
        self.inputs.scales[token]
    }
}

/// The product made of dot products of one row with one token.
pub struct RowByRow {
    /// See [`Gemm::name`].
    pub name: &'static str,
    /// Sum of code times activation.
    pub dot: fn(packed: &[u8], activations: &[i8]) -> i32,
}

impl Gemm for RowByRow {
    fn name(&self) -> &'static str {
        self.name
    }

    fn form(&self) -> Form {
        Form::Int8
    }

    fn tile(&self, _tokens: usize) -> Tile {
        Tile { rows: 1, tokens: 1 }
    }

    fn multiply(&self, weights: &Stored, inputs: &Inputs, band: &mut Band) {
        let rows = Rows::of(weights, inputs, band);
        for row in 0..band.rows().len() {
            for token in 0..inputs.tokens {
                let dot = (self.dot)(rows.row(row), rows.token(token));
                band.token(token)[row] = finish(dot, rows.activation(token), rows.scale);
            }
        }
    }
}
