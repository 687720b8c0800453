//! The product of packings nobody has a fast kernel for: decode a row, multiply floats.
//!
//! There is no reference for these packings, so the order is the plainest one: from the first
//! column to the last, product and sum rounded each.
#![forbid(unsafe_code)]

use super::parallel::{self, Workspace};
use crate::bytes::ByteRange;
use crate::flavor::{Flavor, Shape};

/// A QK256, BitNet32-F16 or Split32 matrix, read where it lies.
pub(super) struct Decoded {
    pub shape: Shape,
    pub flavor: Flavor,
    pub bytes: ByteRange,
    /// The sibling's content; empty where the packing has no sibling.
    pub scales: Vec<f32>,
}

impl Decoded {
    pub fn decode_row(&self, row: usize, out: &mut [f32]) {
        self.flavor
            .decode_row(&self.bytes, &self.scales, self.shape, row, out);
    }

    pub fn multiply(&self, activations: &[f32], workspace: &mut Workspace, out: &mut [f32]) {
        let Shape { rows, cols } = self.shape;
        parallel::over_bands(out, rows, workspace.threads(), |mut band| {
            let mut weights = vec![0.0; cols];
            for (i, row) in band.rows.clone().enumerate() {
                self.decode_row(row, &mut weights);
                let tokens = activations.chunks_exact(cols);
                for (outputs, activations) in band.outputs.iter_mut().zip(tokens) {
                    let products = weights.iter().zip(activations).map(|(w, x)| w * x);
                    outputs[i] = products.fold(0.0, |sum, product| sum + product);
                }
            }
        });
    }
}
