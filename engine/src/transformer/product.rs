//! Matrix times activations, for every kind of matrix.
#![forbid(unsafe_code)]

use std::num::NonZeroUsize;

use crate::encoding::float::Float;
use crate::matrix::{Band, Dense, Matrix, Workspace, over_bands};
use crate::numerics::Arithmetic;
use crate::numerics::dense::Rows;
use crate::numerics::elementwise::round_row_f16;
use crate::numerics::half::Half;

/// Rows of a dense matrix that stay in the cache while every token is multiplied with them.
const ROWS_AT_ONCE: usize = 16;
/// Below this many multiplications a thread costs more than it saves.
const WORTH_A_THREAD: usize = 1 << 20;

/// Multiplies, in one arithmetic, with buffers that are reused.
pub struct Multiplier {
    arithmetic: &'static dyn Arithmetic,
    alone: Workspace,
    together: Workspace,
    rounded: Vec<Half>,
}

impl Multiplier {
    /// With room for activations of `widest` elements in 16 bits.
    pub fn new(
        arithmetic: &'static dyn Arithmetic,
        threads: NonZeroUsize,
        rounded: Vec<Half>,
    ) -> Self {
        Multiplier {
            arithmetic,
            alone: Workspace::new(NonZeroUsize::MIN),
            together: Workspace::new(threads),
            rounded,
        }
    }

    /// The arithmetic in force.
    pub fn arithmetic(&self) -> &'static dyn Arithmetic {
        self.arithmetic
    }

    /// How many threads so many multiplications deserve.
    pub fn threads_for(&self, multiplications: usize) -> NonZeroUsize {
        if multiplications < WORTH_A_THREAD {
            NonZeroUsize::MIN
        } else {
            self.together.threads()
        }
    }

    /// `out` (tokens, rows) = activations (tokens, cols) · matrixᵀ.
    pub fn multiply(&mut self, matrix: &Matrix, activations: &[f32], out: &mut [f32]) {
        match matrix {
            Matrix::Packed(packed) => {
                let multiplications = activations.len() * matrix.rows();
                let workspace = match self.threads_for(multiplications) {
                    NonZeroUsize::MIN => &mut self.alone,
                    _ => &mut self.together,
                };
                packed.multiply(activations, self.arithmetic.block_order(), workspace, out);
            }
            Matrix::Dense(dense) => self.multiply_dense(dense, activations, out),
        }
    }

    /// Activations are rounded to the format of the weights, except that the arithmetic may take
    /// those of several tokens unrounded where the weights are f16.
    fn multiply_dense(&mut self, dense: &Dense, activations: &[f32], out: &mut [f32]) {
        let cols = dense.shape.cols;
        let tokens = activations.len() / cols;
        let arithmetic = self.arithmetic;
        let work = tokens * cols * dense.shape.rows;
        let threads = self.threads_for(work);
        let halves = Rows {
            elements: dense.bytes.as_chunks::<2>().0,
            stride: cols,
        };
        let singles = Rows {
            elements: dense.bytes.as_chunks::<4>().0,
            stride: cols,
        };
        let rounded = &mut self.rounded;
        match dense.format {
            Float::F32 => product(out, singles, activations, threads, |r, x, out| {
                arithmetic.dot_f32(r, x, tokens, out)
            }),
            Float::F16 if arithmetic.unrounded(tokens, cols) => {
                product(out, halves, activations, threads, |r, x, out| {
                    arithmetic.tile_f16(r, x, out)
                })
            }
            Float::F16 => {
                let rounded = &mut rounded[..activations.len()];
                round_row_f16(activations, rounded);
                product(out, halves, rounded, threads, |r, x, out| {
                    arithmetic.dot_f16(r, x, tokens, out)
                });
            }
            Float::Bf16 => {
                let rounded = &mut rounded[..activations.len()];
                let rows = rounded.chunks_exact_mut(cols);
                for (row, out) in activations.chunks_exact(cols).zip(rows) {
                    arithmetic.round_bf16(row, out);
                }
                product(out, halves, rounded, threads, |r, x, out| {
                    arithmetic.dot_bf16(r, x, out)
                });
            }
        }
    }
}

/// Calls `dot` with rows of the matrix, one token's activations and the outputs they make.
fn product<T: Sync, X: Sync>(
    out: &mut [f32],
    matrix: Rows<T>,
    activations: &[X],
    threads: NonZeroUsize,
    dot: impl Fn(Rows<T>, &[X], &mut [f32]) + Sync,
) {
    let cols = matrix.stride;
    let rows = out.len() * cols / activations.len();
    over_bands(out, rows, threads, |Band { rows, mut outputs }| {
        for start in (0..rows.len()).step_by(ROWS_AT_ONCE) {
            let end = rows.len().min(start + ROWS_AT_ONCE);
            let some = Rows {
                elements: &matrix.elements[(rows.start + start) * cols..],
                stride: cols,
            };
            for (x, outputs) in activations.chunks_exact(cols).zip(&mut outputs) {
                dot(some, x, &mut outputs[start..end]);
            }
        }
    });
}
