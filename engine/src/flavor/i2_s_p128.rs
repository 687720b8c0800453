//! I2_S as x86 builds write it and every published file has it: 128 elements in 32 bytes.
//!
//! The flattened tensor is cut into blocks of 128. Byte `j` of a block holds the elements `j`,
//! `j + 32`, `j + 64` and `j + 96`, the first in its two highest bits. Rows do not matter to the
//! packing, so a row of 64 may start in the middle of a block.
#![forbid(unsafe_code)]

use super::{Shape, i2_s};

/// Elements of a block.
pub const BLOCK: usize = 128;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 32;

/// Bytes a tensor of that shape takes, or `None` where the packing cannot hold it.
pub fn bytes_needed(shape: Shape) -> Option<u64> {
    let whole = shape.elements()?.is_multiple_of(BLOCK as u64);
    i2_s::bytes_needed(shape).filter(|_| whole)
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
        // Byte 0 = 0b10_01_00_10: elements 0, 32, 64, 96 are +1, 0, −1, +1.
        // Byte 31 = 0b00_00_01_10: elements 31, 63, 95, 127 are −1, −1, 0, +1.
        let mut bytes = vec![0b01_01_01_01; 64];
        bytes[0] = 0b10_01_00_10;
        bytes[31] = 0b00_00_01_10;
        bytes[32..36].copy_from_slice(&0.5f32.to_le_bytes());
        let shape = Shape { rows: 1, cols: 128 };
        let mut expected = [0.0f32; 128];
        expected[0] = 0.5;
        expected[64] = -0.5;
        expected[96] = 0.5;
        expected[31] = -0.5;
        expected[63] = -0.5;
        expected[127] = 0.5;
        for (col, &expected) in expected.iter().enumerate() {
            assert_eq!(value(&bytes, shape, 0, col), expected, "column {col}");
        }
    }

    #[test]
    fn a_row_of_sixty_four_starts_in_the_middle_of_a_block() {
        let shape = Shape { rows: 2, cols: 64 };
        let weights: Vec<f32> = (0..128).map(|i| ((i % 3) as f32 - 1.0) * 2.0).collect();
        let bytes = i2_s::encode(&weights, shape, width);
        assert_eq!(bytes.len() as u64, bytes_needed(shape).expect("holds it"));
        for (i, &weight) in weights.iter().enumerate() {
            assert_eq!(value(&bytes, shape, i / 64, i % 64), weight);
        }
    }
}
