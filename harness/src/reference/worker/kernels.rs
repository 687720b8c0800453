//! Single kernels: one call, answered with values and bytes.

use super::{Reference, refused};
use crate::reference::isolation::{Call, Channel, Computed, Stop};

/// The activations of two-bit weights, whose scale and sum lie beside them.
const I8_S: i32 = 37;
/// Codes a dot product of one block reads.
const BLOCK: usize = 128;
/// Bytes they take.
const BLOCK_BYTES: usize = BLOCK / 4;
/// Powers of four: the sum of four codes times these is a number whose digits they are.
const DIGITS: [u8; 4] = [1, 4, 16, 64];

impl Reference {
    /// Runs one kernel.
    pub(super) fn compute(
        &self,
        call: Call,
        values: &[f32],
        bytes: &[u8],
        channel: &mut Channel,
    ) -> Result<Computed, Stop> {
        channel.phase(&call.to_string())?;
        let mut computed = Computed::default();
        let kernels = self.library.kernels();
        match call {
            Call::Encode {
                kind,
                columns,
                rows,
                ..
            } => {
                let (values, importance) = values.split_at((rows * columns).min(values.len()));
                let importance = Some(importance).filter(|some| !some.is_empty());
                let bytes = kernels.quantize(kind, values, columns, importance);
                computed.bytes = bytes.map_err(refused)?;
            }
            Call::Decode { kind, count } => {
                computed.values = kernels.dequantize(kind, bytes, count).map_err(refused)?;
            }
            Call::Codes { kind, .. } => computed.bytes = self.codes(kind, bytes)?,
            Call::Activation { kind, .. } => {
                let row = kernels.quantize_activation(kind, values);
                let row = row.map_err(refused)?;
                computed.bytes = row.bytes;
                if self.knows_i2_s && kind == I8_S {
                    computed.values.push(row.scale);
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
                let missing = || Stop::Refused(format!("fewer than {weights} bytes came"));
                let (weights, row) = bytes.split_at_checked(weights).ok_or_else(missing)?;
                let stride = weights.len() / rows.max(1);
                for weights in weights.chunks_exact(stride.max(1)) {
                    let dot = kernels.dot(kind, columns, weights, row);
                    computed.values.push(dot.map_err(refused)?);
                }
            }
        }
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
