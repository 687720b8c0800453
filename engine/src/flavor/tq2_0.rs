//! TQ2_0: 256 elements of two bits in 64 bytes, then an f16 scale.
//!
//! Each half of 128 elements is 32 bytes: byte `m` holds the elements `m`, `m + 32`, `m + 64` and
//! `m + 96`, the first in its two lowest bits. Digits 0, 1, 2 mean −1, 0, +1; 3 would mean +2.
#![forbid(unsafe_code)]

use super::{Shape, tq1_0};
use crate::encoding::{Author, Quantiser};

/// Elements of a block.
pub const BLOCK: usize = 256;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 66;
/// Where in a block the scale is.
pub const SCALE_AT: usize = 64;

/// Bytes a tensor of that shape takes, or `None` where a row is not whole blocks.
pub fn bytes_needed(shape: Shape) -> Option<u64> {
    if !shape.cols.is_multiple_of(BLOCK) {
        return None;
    }
    shape.row_blocks(BLOCK)?.checked_mul(BLOCK_BYTES as u64)
}

/// The scale of a block.
pub fn scale(block: &[u8; BLOCK_BYTES]) -> f32 {
    half::f16::from_le_bytes([block[SCALE_AT], block[SCALE_AT + 1]]).to_f32()
}

/// The digit of one element.
pub fn trit(block: &[u8; BLOCK_BYTES], index: usize) -> u8 {
    let (half, plane, m) = (index / 128, index / 32 % 4, index % 32);
    block[32 * half + m] >> (2 * plane) & 3
}

/// The value of one element: this is what the packing means.
pub fn value(bytes: &[u8], shape: Shape, row: usize, col: usize) -> f32 {
    let block = &bytes.as_chunks().0[row * (shape.cols / BLOCK) + col / BLOCK];
    (f32::from(trit(block, col % BLOCK)) - 1.0) * scale(block)
}

/// The values of a row.
pub fn decode(row: &[u8], out: &mut [f32]) {
    let blocks = row.as_chunks().0.iter();
    for (block, out) in blocks.zip(out.as_chunks_mut::<BLOCK>().0) {
        let scale = scale(block);
        for (index, out) in out.iter_mut().enumerate() {
            *out = (f32::from(trit(block, index)) - 1.0) * scale;
        }
    }
}

/// Encodes a row of whole blocks: scale is the largest magnitude of a block, ties away from zero,
/// and no regard to importance.
pub fn encode(row: &[f32], quantiser: &Quantiser, out: &mut Vec<u8>) {
    let (blocks, rest) = row.as_chunks::<BLOCK>();
    assert!(rest.is_empty(), "whole blocks of 256");
    out.extend(
        blocks
            .iter()
            .flat_map(|block| encode_block(quantiser.author, block)),
    );
}

fn encode_block(author: Author, weights: &[f32; BLOCK]) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    let (trits, scale) = tq1_0::quantise(weights);
    let halves = block.as_chunks_mut::<32>().0.iter_mut();
    for (half, trits) in halves.zip(trits.as_chunks::<128>().0) {
        for (m, byte) in half.iter_mut().enumerate() {
            let plane = |plane: usize| (trits[32 * plane + m] & 3) << (2 * plane);
            *byte = plane(0) | plane(1) | plane(2) | plane(3);
        }
    }
    block[SCALE_AT..].copy_from_slice(&author.half(scale));
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_by_hand() {
        let mut block = [0b01_01_01_01; BLOCK_BYTES];
        block[32 + 9] = 0b10_01_00_10; // second half, byte 9
        block[SCALE_AT..].copy_from_slice(&[0x00, 0x40]); // 2.0
        let shape = Shape { rows: 1, cols: 256 };
        let values: Vec<f32> = (0..4)
            .map(|plane| value(&block, shape, 0, 128 + 9 + 32 * plane))
            .collect();
        assert_eq!(values, [2.0, -2.0, 0.0, 2.0]);
        assert_eq!(value(&block, shape, 0, 128 + 10), 0.0);
    }

    #[test]
    fn weights_come_back() {
        let shape = Shape { rows: 2, cols: 256 };
        let weights: Vec<f32> = (0..512)
            .map(|i| ((i * 5 % 7 % 3) as f32 - 1.0) * 0.5)
            .collect();
        let mut bytes = Vec::new();
        encode(&weights, &Quantiser::default(), &mut bytes);
        assert_eq!(
            bytes.len() as u64,
            bytes_needed(shape).expect("whole blocks")
        );
        for (i, &weight) in weights.iter().enumerate() {
            assert_eq!(
                value(&bytes, shape, i / 256, i % 256),
                weight,
                "element {i}"
            );
        }
    }
}
