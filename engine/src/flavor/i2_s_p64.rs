//! I2_S as late-2025 ARM builds write it: 64 elements in 16 bytes.
//!
//! The flattened tensor is cut into blocks of 64. Byte `j` of a block holds the elements `j`,
//! `j + 16`, `j + 32` and `j + 48`, the first in its two highest bits. Same size and same code
//! counts as the x86 packing: nothing in a file tells the two apart.
#![forbid(unsafe_code)]

use super::{Shape, i2_s};

/// Elements of a block.
pub const BLOCK: usize = 64;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 16;

/// Bytes a tensor of that shape takes, or `None` where the packing cannot hold it.
pub fn bytes_needed(shape: Shape) -> Option<u64> {
    i2_s::bytes_needed(shape)
}

/// Bytes of a block: see [`i2_s::Packing`].
pub fn width(_: Shape) -> usize {
    BLOCK_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(bytes: &[u8], shape: Shape, row: usize, col: usize) -> f32 {
        let mut values = vec![0.0; shape.cols];
        let stored = (bytes, i2_s::scale(bytes, shape));
        i2_s::decode_row(stored, shape, row, width, &mut values);
        values[col]
    }

    #[test]
    fn a_block_written_by_hand() {
        // Byte 3 = 0b10_00_01_10: elements 3, 19, 35, 51 are +1, −1, 0, +1.
        let mut bytes = vec![0b01_01_01_01; 48];
        bytes[3] = 0b10_00_01_10;
        bytes[16..20].copy_from_slice(&3.0f32.to_le_bytes());
        let shape = Shape { rows: 1, cols: 64 };
        let found: Vec<f32> = (0..64).map(|col| value(&bytes, shape, 0, col)).collect();
        let mut expected = vec![0.0; 64];
        (expected[3], expected[19], expected[51]) = (3.0, -3.0, 3.0);
        assert_eq!(found, expected);
    }
}
