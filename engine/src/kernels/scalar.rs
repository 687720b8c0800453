//! The portable kernel: always compiled, always tested, never clever. The others must equal it.
#![forbid(unsafe_code)]

use crate::flavor::i2_s_p128::{BLOCK, BLOCK_BYTES};

/// Sum of code times activation over one row in the I2_S P128 packing.
///
/// With |activation| ≤ 128 and codes up to 3 the sum stays below 2³¹ for up to 5.5 million
/// columns, far beyond any row.
pub fn ternary_dot(packed: &[u8], activations: &[i8]) -> i32 {
    let blocks = packed.as_chunks::<BLOCK_BYTES>().0;
    let activations = activations.as_chunks::<BLOCK>().0;
    let mut sum = 0;
    for (bytes, values) in blocks.iter().zip(activations) {
        for (j, &byte) in bytes.iter().enumerate() {
            for plane in 0..4 {
                let code = i32::from(byte >> (6 - 2 * plane) & 3);
                sum += code * i32::from(values[plane * BLOCK_BYTES + j]);
            }
        }
    }
    sum
}
