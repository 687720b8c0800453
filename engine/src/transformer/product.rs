//! Matrices times activations, for every kind of matrix.
#![forbid(unsafe_code)]

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::encoding::float::Float;
use crate::kernels::gemm::{Form, Inputs};
use crate::matrix::{Activations, Decoded, Dense, Matrix};
use crate::numerics::Arithmetic;
use crate::numerics::dense::Rows;
use crate::pool::{Band, Pool, Target};

/// Rows of a dense matrix that stay in the cache while every token is multiplied with them.
const ROWS_AT_ONCE: usize = 16;
/// Below this many operations other threads cost more than they save.
const WORTH_A_THREAD: usize = 1 << 18;

/// Multiplies, in one arithmetic, with threads and buffers that are kept.
pub struct Multiplier {
    arithmetic: &'static dyn Arithmetic,
    alone: Pool,
    together: Pool,
    activations: Activations,
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
            serial_norms: AtomicUsize::new(0),
        }
    }

    /// The arithmetic in force.
    pub fn arithmetic(&self) -> &'static dyn Arithmetic {
        self.arithmetic
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
        let forms = matrices.map(|matrix| form(matrix, arithmetic, tokens));
        let rows: usize = matrices.iter().map(|matrix| matrix.rows()).sum();
        let work = activations.len() * rows;
        let pool = pool_for(work, &mut self.alone, &mut self.together);
        for (i, &form) in forms.iter().enumerate() {
            if !forms[..i].contains(&form) {
                self.activations
                    .make(form, activations, cols, arithmetic, pool);
            }
        }
        let inputs = self.activations.inputs(activations, cols);
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

/// The outputs of a band whose rows become floats, some rows at a time with every token.
fn multiply_decoded(
    decoded: &Decoded,
    inputs: &Inputs,
    arithmetic: &dyn Arithmetic,
    band: &mut Band,
) {
    let (rows, cols, tokens) = (band.rows(), decoded.stored().shape.cols, inputs.tokens);
    if tokens == 1
        && let Some(codes) = decoded.qk256(rows.start)
        && arithmetic.dots_qk256(codes, &inputs.plain[..cols], band.token(0))
    {
        return;
    }
    let mut singles = vec![[0; 4]; ROWS_AT_ONCE.min(rows.len()) * cols];
    for first in (0..rows.len()).step_by(ROWS_AT_ONCE) {
        let last = rows.len().min(first + ROWS_AT_ONCE);
        let singles = &mut singles[..(last - first) * cols];
        decoded.rows(rows.start + first, singles);
        for token in 0..tokens {
            let singles = Rows {
                elements: singles,
                stride: cols,
            };
            let own = token * cols..(token + 1) * cols;
            let out = &mut band.token(token)[first..last];
            arithmetic.dot_f32(singles, &inputs.plain[own], tokens, out);
        }
    }
}

/// The outputs of a band, some rows at a time with every token.
fn multiply_dense(
    dense: &Dense,
    form: Form,
    inputs: &Inputs,
    arithmetic: &dyn Arithmetic,
    band: &mut Band,
) {
    let (rows, cols, tokens) = (band.rows(), dense.shape.cols, inputs.tokens);
    for first in (0..rows.len()).step_by(ROWS_AT_ONCE) {
        let last = rows.len().min(first + ROWS_AT_ONCE);
        let at = (rows.start + first) * cols;
        let halves = Rows {
            elements: &dense.bytes.as_chunks::<2>().0[at..],
            stride: cols,
        };
        for token in 0..tokens {
            let own = token * cols..(token + 1) * cols;
            let out = &mut band.token(token)[first..last];
            match (dense.format, form) {
                (Float::F32, _) => {
                    let singles = Rows {
                        elements: &dense.bytes.as_chunks::<4>().0[at..],
                        stride: cols,
                    };
                    arithmetic.dot_f32(singles, &inputs.plain[own], tokens, out);
                }
                (Float::F16, Form::Plain) => arithmetic.tile_f16(halves, &inputs.plain[own], out),
                (Float::F16, _) => arithmetic.dot_f16(halves, &inputs.f16[own], tokens, out),
                (Float::Bf16, _) => arithmetic.dot_bf16(halves, &inputs.bf16[own], out),
            }
        }
    }
}
