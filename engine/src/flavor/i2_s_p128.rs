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

/// Where the code of one element lies.
pub fn place(shape: Shape, row: usize, col: usize) -> i2_s::Place {
    let index = row * shape.cols + col;
    let within = index % BLOCK;
    i2_s::Place {
        byte: index / BLOCK * BLOCK_BYTES + within % BLOCK_BYTES,
        shift: 6 - 2 * (within / BLOCK_BYTES) as u32,
    }
}

/// The value of one element: this is what the packing means.
pub fn value(bytes: &[u8], shape: Shape, row: usize, col: usize) -> f32 {
    i2_s::value(bytes, shape, row, col, place)
}

/// The codes of whole blocks of digits −1, 0 and +1, without a scale: what [`place`] says, block by
/// block.
pub fn pack(digits: &[f32]) -> Vec<u8> {
    let (blocks, rest) = digits.as_chunks::<BLOCK>();
    assert!(rest.is_empty(), "whole blocks of 128");
    let code = |digit: f32| (digit + 1.0) as u8;
    let byte = |block: &[f32; BLOCK], at: usize| {
        let [first, second, third] = [block[at], block[at + 32], block[at + 64]].map(code);
        first << 6 | second << 4 | third << 2 | code(block[at + 96])
    };
    let mut bytes = Vec::with_capacity(blocks.len() * BLOCK_BYTES);
    for block in blocks {
        bytes.extend((0..BLOCK_BYTES).map(|at| byte(block, at)));
    }
    bytes
}

/// Quantises a row-major matrix.
pub fn encode(weights: &[f32], shape: Shape) -> Vec<u8> {
    let (codes, scale) = i2_s::quantise(weights);
    i2_s::encode_codes(&codes, scale, shape, place)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn whole_blocks_are_packed_where_their_places_are() {
        let shape = Shape { rows: 3, cols: 128 };
        let codes: Vec<u8> = (0..384).map(|i| (i * i % 7 % 3) as u8).collect();
        let digits: Vec<f32> = codes.iter().map(|&code| f32::from(code) - 1.0).collect();
        let placed = i2_s::encode_codes(&codes, 0.5, shape, place);
        assert_eq!(pack(&digits), placed[..96]);
    }

    #[test]
    fn a_row_of_sixty_four_starts_in_the_middle_of_a_block() {
        let shape = Shape { rows: 2, cols: 64 };
        let weights: Vec<f32> = (0..128).map(|i| ((i % 3) as f32 - 1.0) * 2.0).collect();
        let bytes = encode(&weights, shape);
        assert_eq!(bytes.len() as u64, bytes_needed(shape).expect("holds it"));
        for (i, &weight) in weights.iter().enumerate() {
            assert_eq!(value(&bytes, shape, i / 64, i % 64), weight);
        }
    }
}
