//! Matrices times activations, for every kind of matrix.
#![forbid(unsafe_code)]

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::encoding::float::Float;
use crate::kernels::gemm::{Form, Inputs};
use crate::matrix::{Activations, Decoded, Dense, Matrix};
use crate::numerics::Arithmetic;
use crate::numerics::dense::{Grid, Rows};
use crate::pool::{Band, Pool, Target};

/// Rows of a dense matrix that stay in the cache while every token is multiplied with them.
const ROWS_AT_ONCE: usize = 16;
/// Tokens whose outputs leave the registers together.
const TOKENS_AT_ONCE: usize = 16;
/// Below this many operations other threads cost more than they save.
const WORTH_A_THREAD: usize = 1 << 18;

/// Multiplies, in one arithmetic, with threads and buffers that are kept.
pub struct Multiplier {
    arithmetic: &'static dyn Arithmetic,
    alone: Pool,
    together: Pool,
    activations: Activations,
    one_by_one: bool,
    /// Norms that were added up one by one.
    serial_norms: AtomicUsize,
}

impl Multiplier {
    /// On that many threads, the caller's among them.
    pub fn new(arithmetic: &'static dyn Arithmetic, threads: NonZeroUsize) -> Self {
        Multiplier {
            arithmetic,
            alone: Pool::new(NonZeroUsize::MIN),
            together: Pool::new(threads),
            activations: Activations::default(),
            one_by_one: false,
            serial_norms: AtomicUsize::new(0),
        }
    }

    /// The arithmetic in force.
    pub fn arithmetic(&self) -> &'static dyn Arithmetic {
        self.arithmetic
    }

    /// Whether from now on the tokens of a product are added up as each would be alone.
    pub fn take_one_by_one(&mut self, one_by_one: bool) {
        self.one_by_one = one_by_one;
    }

    /// Whether the tokens of a product are added up as each would be alone.
    pub fn takes_one_by_one(&self) -> bool {
        self.one_by_one
    }

    /// How many of so many tokens are computed together.
    pub fn together(&self, tokens: usize) -> usize {
        if self.one_by_one { 1 } else { tokens }
    }

    /// How many norms so far were added up one by one.
    pub fn serial_norms(&self) -> usize {
        self.serial_norms.load(Ordering::Relaxed)
    }

    /// `out` = input / rms(input), row by row of so many values.
    pub fn normalise(&mut self, input: &[f32], width: usize, epsilon: f32, out: &mut [f32]) {
        let (arithmetic, serial) = (self.arithmetic, &self.serial_norms);
        let pool = pool_for(input.len(), &mut self.alone, &mut self.together);
        pool.over_parts(out, width, |t, out| {
            let row = &input[t * width..(t + 1) * width];
            arithmetic.rms_norm(row, epsilon, out, serial);
        });
    }

    /// Changes every row of so many values; the number is that of the row.
    pub fn over_rows(
        &mut self,
        values: &mut [f32],
        width: usize,
        change: impl Fn(&dyn Arithmetic, usize, &mut [f32]) + Sync,
    ) {
        let arithmetic = self.arithmetic;
        self.pool_for(values.len())
            .over_parts(values, width, |t, row| change(arithmetic, t, row));
    }

    /// The threads so many operations deserve.
    pub fn pool_for(&mut self, operations: usize) -> &mut Pool {
        pool_for(operations, &mut self.alone, &mut self.together)
    }

    /// `out` (tokens, rows) = activations (tokens, cols) · matrixᵀ.
    pub fn multiply(&mut self, matrix: &Matrix, activations: &[f32], out: &mut [f32]) {
        self.products(activations, [(matrix, out)]);
    }

    /// The products of the same activations with several matrices.
    pub fn products<const N: usize>(
        &mut self,
        activations: &[f32],
        products: [(&Matrix, &mut [f32]); N],
    ) {
        let matrices = products.each_ref().map(|(matrix, _)| *matrix);
        let cols = matrices[0].cols();
        let tokens = activations.len() / cols;
        assert_eq!(
            activations.len(),
            tokens * cols,
            "whole rows of activations"
        );
        for (matrix, out) in &products {
            assert_eq!(matrix.cols(), cols, "the activations of all products");
            assert_eq!(
                out.len(),
                tokens * matrix.rows(),
                "an output a row and token"
            );
        }
        let arithmetic = self.arithmetic;
        let together = self.together(tokens);
        let forms = matrices.map(|matrix| form(matrix, arithmetic, together));
        let rows: usize = matrices.iter().map(|matrix| matrix.rows()).sum();
        let work = activations.len() * rows;
        let pool = pool_for(work, &mut self.alone, &mut self.together);
        for (i, &form) in forms.iter().enumerate() {
            if !forms[..i].contains(&form) {
                self.activations
                    .make(form, activations, cols, arithmetic, pool);
            }
        }
        let inputs = Inputs {
            one_by_one: self.one_by_one,
            ..self.activations.inputs(activations, cols)
        };
        let order = arithmetic.block_order();
        let targets = products.map(|(matrix, out)| Target {
            out,
            rows: matrix.rows(),
            tile: match matrix {
                Matrix::Packed(packed) => packed.gemm(order).tile(tokens).rows,
                Matrix::Dense(_) | Matrix::Decoded(_) => ROWS_AT_ONCE,
            },
        });
        pool.over_bands(targets, |which, band| match matrices[which] {
            Matrix::Packed(packed) => packed.gemm(order).multiply(packed.stored(), &inputs, band),
            Matrix::Dense(dense) => multiply_dense(dense, forms[which], &inputs, arithmetic, band),
            Matrix::Decoded(decoded) => multiply_decoded(decoded, &inputs, arithmetic, band),
        });
    }
}

fn pool_for<'p>(operations: usize, alone: &'p mut Pool, together: &'p mut Pool) -> &'p mut Pool {
    if operations < WORTH_A_THREAD {
        alone
    } else {
        together
    }
}

/// What the activations are turned into. They are rounded to the format of dense weights, except
/// that the arithmetic may take those of several tokens unrounded where the weights are f16.
fn form(matrix: &Matrix, arithmetic: &dyn Arithmetic, tokens: usize) -> Form {
    match matrix {
        Matrix::Packed(packed) => packed.gemm(arithmetic.block_order()).form(),
        Matrix::Decoded(_) => Form::Plain,
        Matrix::Dense(dense) => match dense.format {
            Float::F32 => Form::Plain,
            Float::F16 if arithmetic.unrounded(tokens, dense.shape.cols) => Form::Plain,
            Float::F16 => Form::F16,
            Float::Bf16 => Form::Bf16,
        },
    }
}

/// The outputs of a band whose rows become floats: inside a kernel that knows their codes, or
/// before.
fn multiply_decoded(
    decoded: &Decoded,
    inputs: &Inputs,
    arithmetic: &dyn Arithmetic,
    band: &mut Band,
) {
    let (cols, together) = (decoded.stored().shape.cols, inputs.together());
    let xs = |token| Rows::from(inputs.plain, cols, token);
    if decoded.codes(0).is_some() && arithmetic.takes_codes() {
        return in_grids(band, usize::MAX, |row, token, grid| {
            let codes = decoded.codes(row).expect("every row is codes");
            arithmetic.dots_codes(codes, xs(token), cols, together, grid);
        });
    }
    let mut singles = vec![[0; 4]; ROWS_AT_ONCE.min(band.rows().len()) * cols];
    in_grids(band, ROWS_AT_ONCE, |row, token, grid| {
        let singles = &mut singles[..grid.rows * cols];
        if token == 0 {
            decoded.rows(row, singles);
        }
        let rows = Rows::from(singles, cols, 0);
        arithmetic.dots_f32(rows, xs(token), cols, together, grid);
    });
}

/// The outputs of a band of plain floats.
fn multiply_dense(
    dense: &Dense,
    form: Form,
    inputs: &Inputs,
    arithmetic: &dyn Arithmetic,
    band: &mut Band,
) {
    let (cols, together) = (dense.shape.cols, inputs.together());
    in_grids(band, usize::MAX, |row, token, grid| {
        let halves = || Rows::from(dense.bytes.as_chunks().0, cols, row);
        let plain = Rows::from(inputs.plain, cols, token);
        match (dense.format, form) {
            (Float::F32, _) => {
                let rows = Rows::from(dense.bytes.as_chunks().0, cols, row);
                arithmetic.dots_f32(rows, plain, cols, together, grid);
            }
            (Float::F16, Form::Plain) => arithmetic.tiles_f16(halves(), plain, cols, grid),
            (Float::F16, _) => {
                let xs = Rows::from(inputs.f16, cols, token);
                arithmetic.dots_f16(halves(), xs, cols, together, grid);
            }
            (Float::Bf16, _) => {
                let xs = Rows::from(inputs.bf16, cols, token);
                arithmetic.dots_bf16(halves(), xs, cols, grid);
            }
        }
    });
}

/// Calls `multiply` with the number of a row, that of a token, and a grid for some of both from
/// there on, until all outputs of the band were in one: of the same rows first. A single token has
/// `most` rows in a grid.
fn in_grids(band: &mut Band, most: usize, mut multiply: impl FnMut(usize, usize, Grid)) {
    let (rows, tokens) = (band.rows(), band.tokens());
    if tokens == 1 {
        let most = most.min(rows.len()).max(1);
        for (row, out) in rows.step_by(most).zip(band.token(0).chunks_mut(most)) {
            multiply(row, 0, Grid::of_one(out));
        }
        return;
    }
    // Bands share lines of outputs, grids do not.
    let mut outputs = [0f32; ROWS_AT_ONCE * TOKENS_AT_ONCE];
    for first in (0..rows.len()).step_by(ROWS_AT_ONCE) {
        let last = rows.len().min(first + ROWS_AT_ONCE);
        for token in (0..tokens).step_by(TOKENS_AT_ONCE) {
            let grid = Grid {
                out: &mut outputs,
                stride: ROWS_AT_ONCE,
                rows: last - first,
                tokens: TOKENS_AT_ONCE.min(tokens - token),
            };
            let count = grid.tokens;
            multiply(rows.start + first, token, grid);
            for (t, outputs) in outputs.chunks_exact(ROWS_AT_ONCE).take(count).enumerate() {
                let out = &mut band.token(token + t)[first..last];
                out.copy_from_slice(&outputs[..last - first]);
            }
        }
    }
}
