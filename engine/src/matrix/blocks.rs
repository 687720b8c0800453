//! The product of rows in blocks with a scale each: TQ1_0, TQ2_0, Q6_K and Q8_0.
#![forbid(unsafe_code)]

use super::parallel::{self, Workspace};
use crate::bytes::ByteRange;
use crate::encoding::{self, q6_k, q8_0};
use crate::flavor::{Flavor, Shape, tq1_0, tq2_0};
use crate::kernels::{self, BlockOrder, Kernel, whole_blocks};

/// Which blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Tq1_0,
    Tq2_0,
    Q6K,
    Q8_0,
}

impl Format {
    /// Stable name.
    pub fn name(self) -> &'static str {
        match self {
            Format::Tq1_0 => Flavor::Tq1_0.name(),
            Format::Tq2_0 => Flavor::Tq2_0.name(),
            Format::Q6K => "q6_k",
            Format::Q8_0 => "q8_0",
        }
    }

    /// Elements and bytes of a block.
    pub fn block(self) -> (usize, usize) {
        match self {
            Format::Tq1_0 => (tq1_0::BLOCK, tq1_0::BLOCK_BYTES),
            Format::Tq2_0 => (tq2_0::BLOCK, tq2_0::BLOCK_BYTES),
            Format::Q6K => (q6_k::BLOCK, q6_k::BLOCK_BYTES),
            Format::Q8_0 => (q8_0::BLOCK, q8_0::BLOCK_BYTES),
        }
    }
}

/// A matrix whose rows are whole blocks, read where it lies.
pub(super) struct Blocks {
    pub shape: Shape,
    pub format: Format,
    pub bytes: ByteRange,
    pub kernel: Kernel,
}

impl Blocks {
    pub fn decode_row(&self, row: usize, out: &mut [f32]) {
        let bytes = &self.bytes;
        match self.format {
            Format::Tq1_0 => Flavor::Tq1_0.decode_row(bytes, &[], self.shape, row, out),
            Format::Tq2_0 => Flavor::Tq2_0.decode_row(bytes, &[], self.shape, row, out),
            Format::Q6K => encoding::q6_k::decode(self.row(row), out),
            Format::Q8_0 => encoding::q8_0::decode(self.row(row), out),
        }
    }

    pub fn multiply(
        &self,
        activations: &[f32],
        order: BlockOrder,
        workspace: &mut Workspace,
        out: &mut [f32],
    ) {
        use BlockOrder::{EightLanes, WholeBlocks};
        let kernel = self.kernel;
        match self.format {
            Format::Q8_0 => {
                workspace.q8_0.clear();
                match order {
                    EightLanes => kernels::q8_0::quantise(activations, &mut workspace.q8_0),
                    WholeBlocks => whole_blocks::quantise_q8_0(activations, &mut workspace.q8_0),
                }
                let tokens = activations.len() / self.shape.cols;
                let dot = |row: &[u8], activations: &[_]| match order {
                    EightLanes => kernel.q8_0_dot(row, activations),
                    WholeBlocks => whole_blocks::q8_0_dot(row, activations, tokens),
                };
                self.dot_rows(&workspace.q8_0, dot, workspace, out);
            }
            Format::Tq1_0 | Format::Tq2_0 | Format::Q6K => {
                workspace.q8_k.clear();
                kernels::q8_k::quantise(activations, &mut workspace.q8_k);
                let dot = |row: &[u8], activations: &[_]| match (self.format, order) {
                    (Format::Tq1_0, EightLanes) => kernel.tq1_0_dot(row, activations),
                    (Format::Tq1_0, WholeBlocks) => whole_blocks::tq1_0_dot(row, activations),
                    (Format::Tq2_0, EightLanes) => kernel.tq2_0_dot(row, activations),
                    (Format::Tq2_0, WholeBlocks) => whole_blocks::tq2_0_dot(row, activations),
                    (_, EightLanes) => kernel.q6_k_dot(row, activations),
                    (_, WholeBlocks) => whole_blocks::q6_k_dot(row, activations),
                };
                self.dot_rows(&workspace.q8_k, dot, workspace, out);
            }
        }
    }

    fn dot_rows<Block: Sync>(
        &self,
        activations: &[Block],
        dot: impl Fn(&[u8], &[Block]) -> f32 + Sync,
        workspace: &Workspace,
        out: &mut [f32],
    ) {
        let blocks = self.shape.cols / self.format.block().0;
        parallel::over_bands(out, self.shape.rows, workspace.threads(), |mut band| {
            for (i, row) in band.rows.clone().enumerate() {
                let tokens = activations.chunks_exact(blocks);
                for (outputs, activations) in band.outputs.iter_mut().zip(tokens) {
                    outputs[i] = dot(self.row(row), activations);
                }
            }
        });
    }

    fn row(&self, row: usize) -> &[u8] {
        let (elements, bytes) = self.format.block();
        let stride = self.shape.cols / elements * bytes;
        &self.bytes[row * stride..(row + 1) * stride]
    }
}
