//! Single kernels: one call, answered with numbers and bytes.
#![forbid(unsafe_code)]

use super::{Reference, refused};
use crate::reference::isolation::{Call, Channel, Computed, Part, Stop, TypeFacts, pack, parts};

/// The activations of two-bit weights, whose scale and sum lie beside them.
const I8_S: i32 = 37;
/// Codes a dot product of one block reads.
const BLOCK: usize = 128;
/// Bytes they take.
const BLOCK_BYTES: usize = BLOCK / 4;
/// Powers of four: the sum of four codes times these is a number whose digits they are.
const DIGITS: [u8; 4] = [1, 4, 16, 64];

impl Reference {
    /// Computes, sends the arrays, and leaves the rest to say.
    pub(super) fn compute(
        &self,
        call: Call,
        array: Vec<f32>,
        channel: &mut Channel,
    ) -> Result<Computed, Stop> {
        let parts = call.reads().and_then(|(v, b)| parts(array, v, b));
        let (values, bytes) = parts
            .ok_or_else(|| Stop::Refused(format!("the array does not hold what {call} reads")))?;
        channel.phase(&call.to_string())?;
        let mut computed = Computed::default();
        let kernels = self.library.kernels();
        let (mut numbers, mut stored) = (Vec::new(), Vec::new());
        match call {
            Call::Describe { kind } => {
                // A number that means nothing here is an answer, not a failure.
                computed.facts = kernels.describe(kind).ok().map(TypeFacts::from);
            }
            Call::Encode { kind, columns, .. } => {
                stored = kernels.quantize(kind, &values, columns).map_err(refused)?;
            }
            Call::Decode { kind, count, .. } => {
                numbers = kernels.dequantize(kind, &bytes, count).map_err(refused)?;
            }
            Call::Codes { kind, .. } => stored = self.codes(kind, &bytes)?,
            Call::Activation { kind, .. } => {
                let row = kernels.quantize_activation(kind, &values);
                let row = row.map_err(refused)?;
                stored = row.bytes;
                if self.knows_i2_s && kind == I8_S {
                    numbers.push(row.scale);
                    computed.sum = Some(row.sum);
                }
            }
            Call::Dot {
                kind,
                columns,
                rows,
                weights,
                ..
            } => {
                let (weights, row) = bytes.split_at(weights);
                let stride = weights.len() / rows.max(1);
                for weights in weights.chunks_exact(stride.max(1)) {
                    let dot = kernels.dot(kind, columns, weights, row);
                    numbers.push(dot.map_err(refused)?);
                }
            }
        }
        let (values, bytes) = (numbers.len(), stored.len());
        numbers.extend(pack(&stored));
        channel.part(Part::Numbers { values, bytes }, &numbers)?;
        Ok(computed)
    }

    /// Every code of the blocks, four a dot product: activations of 1, 4, 16 and 64 at four places
    /// and zero everywhere else make a sum whose digits are the codes there.
    fn codes(&self, kind: i32, bytes: &[u8]) -> Result<Vec<u8>, Stop> {
        let kernels = self.library.kernels();
        let mut codes = Vec::with_capacity(4 * bytes.len());
        for block in bytes.chunks(BLOCK_BYTES) {
            for first in (0..BLOCK).step_by(DIGITS.len()) {
                let mut row = [0; BLOCK];
                row[first..][..DIGITS.len()].copy_from_slice(&DIGITS);
                let sum = kernels.dot(kind, BLOCK, block, &row).map_err(refused)?;
                // At most 3 · 85, so exact.
                let sum = sum as u32;
                codes.extend(DIGITS.map(|digit| (sum / u32::from(digit) % 4) as u8));
            }
        }
        Ok(codes)
    }
}
