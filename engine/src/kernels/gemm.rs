//! The product of a stored matrix with activations: what one [`Gemm`] is made for, what it reads
//! and what it writes.
#![forbid(unsafe_code)]

use std::num::NonZeroUsize;

use super::activation::RowScale;
use super::q8_0::Q8Block;
use super::q8_1::Q8Sum;
use super::q8_k::Q8K;
use crate::bytes::{ByteRange, ModelBytes};
use crate::flavor::Shape;
use crate::pool::{Band, Pool, Target};

/// A matrix as kernels read it.
pub struct Stored {
    /// Rows and columns.
    pub shape: Shape,
    /// The rows, one after the other.
    pub bytes: ByteRange,
    /// The scales kept outside the rows: one for the whole, or one a block, or none.
    pub scales: Vec<f32>,
}

/// What activations are turned into before they meet the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Nothing: they stay as they are.
    Plain,
    /// IEEE halves.
    F16,
    /// bfloat16.
    Bf16,
    /// One int8 each, and a scale a token.
    Int8,
    /// Blocks of 32.
    Q8_0,
    /// Blocks of 32 with the sum of their values.
    Q8_1,
    /// Blocks of 256.
    Q8K,
}

/// Activations of some tokens. Of the quantised forms only the one a kernel asked for is there.
#[derive(Clone, Copy, Default)]
pub struct Inputs<'a> {
    /// How many tokens.
    pub tokens: usize,
    /// Whether the order of sums is that of a single token, however many there are.
    pub one_by_one: bool,
    /// The values themselves, token after token.
    pub plain: &'a [f32],
    /// The values as IEEE halves, little endian.
    pub f16: &'a [[u8; 2]],
    /// The values as bfloat16, little endian.
    pub bf16: &'a [[u8; 2]],
    /// The values as int8, every token padded with zeros to whole blocks of
    /// [`BLOCK`](super::activation::BLOCK).
    pub int8: &'a [i8],
    /// The scale and the sum of every token's int8.
    pub scales: &'a [RowScale],
    /// The values in blocks of 32.
    pub q8_0: &'a [Q8Block],
    /// The values in blocks of 32, with sums.
    pub q8_1: &'a [Q8Sum],
    /// The values in blocks of 256.
    pub q8_k: &'a [Q8K],
}

impl Inputs<'_> {
    /// How many tokens are computed together, as far as the order of sums depends on it.
    pub fn together(&self) -> usize {
        if self.one_by_one { 1 } else { self.tokens }
    }
}

/// How many rows and tokens are computed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Rows of the matrix.
    pub rows: usize,
    /// Tokens.
    pub tokens: usize,
}

/// The product of matrices in one format, in one order of sums, with one instruction set.
pub trait Gemm: Sync {
    /// Stable name, instruction set first, fit for a receipt.
    fn name(&self) -> &'static str;

    /// What it wants the activations to be.
    fn form(&self) -> Form;

    /// What is computed together where there are so many tokens. Shares of the rows start at
    /// multiples of a tile.
    fn tile(&self, tokens: usize) -> Tile;

    /// Computes the outputs of a band of rows, for every token.
    fn multiply(&self, weights: &Stored, inputs: &Inputs, band: &mut Band);
}

/// The outputs of a whole product, on the caller's thread.
pub fn outputs(gemm: &dyn Gemm, weights: &Stored, inputs: &Inputs) -> Vec<f32> {
    let rows = weights.shape.rows;
    let mut out = vec![0.0; rows * inputs.tokens];
    let tile = gemm.tile(inputs.tokens).rows;
    let target = Target {
        out: &mut out,
        rows,
        tile,
    };
    let mut alone = Pool::new(NonZeroUsize::MIN);
    alone.over_bands([target], |_, band| gemm.multiply(weights, inputs, band));
    out
}

/// A block of quantised activations.
pub trait Block: Sized + Sync + 'static {
    /// The form it belongs to.
    const FORM: Form;
    /// All blocks of the inputs.
    fn of<'a>(inputs: &Inputs<'a>) -> &'a [Self];
    /// What its integers are multiplied by.
    fn scale(&self) -> f32;
}

impl Stored {
    /// Rows that are no part of a file.
    pub fn from_vec(shape: Shape, bytes: Vec<u8>, scales: Vec<f32>) -> Self {
        let len = bytes.len() as u64;
        let bytes = ModelBytes::from_vec(bytes).range(0..len);
        Stored {
            shape,
            bytes: bytes.expect("the whole of it"),
            scales,
        }
    }
}

impl Block for Q8Block {
    const FORM: Form = Form::Q8_0;
    fn of<'a>(inputs: &Inputs<'a>) -> &'a [Self] {
        inputs.q8_0
    }
    #[inline(always)]
    fn scale(&self) -> f32 {
        self.scale
    }
}

impl Block for Q8Sum {
    const FORM: Form = Form::Q8_1;
    fn of<'a>(inputs: &Inputs<'a>) -> &'a [Self] {
        inputs.q8_1
    }
    #[inline(always)]
    fn scale(&self) -> f32 {
        self.block.scale
    }
}

impl Block for Q8K {
    const FORM: Form = Form::Q8K;
    fn of<'a>(inputs: &Inputs<'a>) -> &'a [Self] {
        inputs.q8_k
    }
    #[inline(always)]
    fn scale(&self) -> f32 {
        self.scale
    }
}

/// A product made of dot products of one stored row with one token.
pub struct RowByRow<X: Block> {
    /// See [`Gemm::name`].
    pub name: &'static str,
    /// The dot product; the number is that of the tokens computed together, which some orders
    /// depend on.
    pub dot: fn(row: &[u8], activations: &[X], tokens: usize) -> f32,
}

impl<X: Block> Gemm for RowByRow<X> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn form(&self) -> Form {
        X::FORM
    }

    fn tile(&self, _tokens: usize) -> Tile {
        Tile { rows: 4, tokens: 1 }
    }

    fn multiply(&self, weights: &Stored, inputs: &Inputs, band: &mut Band) {
        let rows = band.rows();
        let stride = weights.bytes.len() / weights.shape.rows;
        let blocks = X::of(inputs).len() / inputs.tokens.max(1);
        let stored = &weights.bytes[rows.start * stride..rows.end * stride];
        for (i, row) in stored.chunks_exact(stride).enumerate() {
            for token in 0..inputs.tokens {
                let activations = &X::of(inputs)[token * blocks..(token + 1) * blocks];
                band.token(token)[i] = (self.dot)(row, activations, inputs.together());
            }
        }
    }
}
