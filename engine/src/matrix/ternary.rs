//! The product of an I2_S matrix: int8 activations, exact integer sums, four float operations.
#![forbid(unsafe_code)]

use super::parallel::{self, Workspace};
use crate::bytes::{ByteRange, ModelBytes};
use crate::flavor::{Flavor, Shape, i2_s, i2_s_p128};
use crate::kernels::{Kernel, activation};

/// An I2_S matrix in the layout the kernels read: every row a whole number of P128 blocks.
pub(super) struct Ternary {
    shape: Shape,
    codes: ByteRange,
    scale: f32,
    kernel: Kernel,
}

impl Ternary {
    /// Takes the tensor's bytes in any I2_S packing. P128 with whole blocks a row is used where
    /// it lies; everything else is rearranged once.
    pub fn new(bytes: ByteRange, shape: Shape, flavor: Flavor, kernel: Kernel) -> Self {
        let scale = i2_s::scale(&bytes, shape);
        let as_it_lies = flavor == Flavor::I2sP128 && shape.cols.is_multiple_of(i2_s_p128::BLOCK);
        let codes = if as_it_lies {
            bytes
        } else {
            let packing = flavor
                .i2_s_packing()
                .expect("the caller saw an I2_S packing");
            rearrange(&bytes, shape, packing)
        };
        Ternary {
            shape,
            codes,
            scale,
            kernel,
        }
    }

    pub fn decode_row(&self, row: usize, out: &mut [f32]) {
        let padded = Shape {
            rows: self.shape.rows,
            cols: self.padded_cols(),
        };
        for (col, out) in out.iter_mut().enumerate() {
            let code = i2_s::code(&self.codes, padded, row, col, i2_s_p128::place);
            *out = i2_s::value_of(code, self.scale);
        }
    }

    pub fn multiply(&self, activations: &[f32], workspace: &mut Workspace, out: &mut [f32]) {
        let cols = self.padded_cols();
        let tokens = activations.len() / self.shape.cols;
        workspace.int8.resize(tokens * cols, 0);
        workspace.rows.clear();
        for (row, int8) in activations
            .chunks_exact(self.shape.cols)
            .zip(workspace.int8.chunks_exact_mut(cols))
        {
            workspace.rows.push(activation::quantise_row(row, int8));
        }
        let (int8, rows) = (&workspace.int8, &workspace.rows);
        let stride = cols / 4;
        parallel::over_bands(out, self.shape.rows, workspace.threads(), |mut band| {
            for (i, row) in band.rows.clone().enumerate() {
                let packed = &self.codes[row * stride..(row + 1) * stride];
                for (token, outputs) in band.outputs.iter_mut().enumerate() {
                    let values = &int8[token * cols..(token + 1) * cols];
                    let dot = self.kernel.ternary_dot(packed, values);
                    let activation = rows[token];
                    // Taking the sum of activations off turns codes 0..2 into −1..+1. The order
                    // of these operations is part of the result.
                    outputs[i] =
                        (dot as f32 - activation.sum as f32) / activation.scale * self.scale;
                }
            }
        });
    }

    fn padded_cols(&self) -> usize {
        self.shape.cols.next_multiple_of(i2_s_p128::BLOCK)
    }
}

/// Any I2_S packing as P128 with rows padded to whole blocks. Padding meets zero activations.
fn rearrange(bytes: &[u8], shape: Shape, packing: i2_s::Packing) -> ByteRange {
    let padded = Shape {
        rows: shape.rows,
        cols: shape.cols.next_multiple_of(i2_s_p128::BLOCK),
    };
    let mut codes = vec![0u8; padded.rows * padded.cols / 4];
    for row in 0..shape.rows {
        for col in 0..shape.cols {
            let place = i2_s_p128::place(padded, row, col);
            codes[place.byte] |= i2_s::code(bytes, shape, row, col, packing) << place.shift;
        }
    }
    let len = codes.len() as u64;
    ModelBytes::from_vec(codes)
        .range(0..len)
        .expect("the whole of it")
}
