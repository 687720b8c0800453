//! TQ1_0: 256 trits in 54 bytes. Five trits share a byte, sixteen of the 256 lie four to a byte.
//!
//! A byte is a fraction of 256 in base three: multiplying by 3ⁿ modulo 256 brings trit `n` to the
//! front, and its digit is the integer part of three times the rest over 256. A block holds 32
//! bytes with the trits of elements `m + 32n`, 16 bytes with `160 + m + 16n`, 4 bytes with
//! `240 + m + 4n`, and an f16 scale.
#![forbid(unsafe_code)]

use super::Shape;
use crate::encoding::{Author, Quantiser};

/// Elements of a block.
pub const BLOCK: usize = 256;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 54;
/// Where in a block the scale is.
pub const SCALE_AT: usize = 52;

const POWERS: [u8; 5] = [1, 3, 9, 27, 81];

/// First element, first byte, bytes and trits a byte of the three parts of a block.
const PARTS: [(usize, usize, usize, usize); 3] = [(0, 0, 32, 5), (160, 32, 16, 5), (240, 48, 4, 4)];

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

/// The digit of one element: 0, 1, 2 for −1, 0, +1.
pub fn trit(block: &[u8; BLOCK_BYTES], index: usize) -> u8 {
    let part = PARTS.iter().rfind(|part| part.0 <= index);
    let &(first, byte, bytes, _) = part.expect("the first part starts at 0");
    let (n, m) = ((index - first) / bytes, (index - first) % bytes);
    let fraction = block[byte + m].wrapping_mul(POWERS[n]);
    ((u16::from(fraction) * 3) >> 8) as u8
}

/// The value of one element: this is what the packing means.
pub fn value(bytes: &[u8], shape: Shape, row: usize, col: usize) -> f32 {
    let block = &bytes.as_chunks().0[row * (shape.cols / BLOCK) + col / BLOCK];
    (f32::from(trit(block, col % BLOCK)) - 1.0) * scale(block)
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
    let (trits, scale) = quantise(weights);
    for (first, byte, bytes, trits_per_byte) in PARTS {
        for m in 0..bytes {
            // Digits most significant first; four of them leave the last place zero. Five fit a
            // byte; what a NaN hid from the scale is no digit, and wraps as the reference does.
            let digits = (0..5).fold(0u8, |digits, n| {
                let trit = (n < trits_per_byte).then(|| trits[first + m + n * bytes]);
                digits.wrapping_mul(3).wrapping_add(trit.unwrap_or(0))
            });
            // The smallest byte whose fraction of 256 is at least digits / 243.
            block[byte + m] = (u16::from(digits) * 256).div_ceil(243) as u8;
        }
    }
    block[SCALE_AT..].copy_from_slice(&author.half(scale));
    block
}

/// Digits and scale of a block.
pub(super) fn quantise(weights: &[f32; BLOCK]) -> ([u8; BLOCK], f32) {
    // As the format's own quantiser has it, so a NaN takes over and is taken over alike.
    let larger = |max: f32, w: &f32| if max > w.abs() { max } else { w.abs() };
    let scale = weights.iter().fold(0.0, larger);
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    (weights.map(|w| trit_of(w * inverse)), scale)
}

/// The digit of a scaled weight. One without an integer, as in a block of subnormals, whose
/// inverse is infinite, counts as zero.
fn trit_of(scaled: f32) -> u8 {
    let rounded = scaled.round();
    let integer = if rounded.is_finite() {
        rounded as i64
    } else {
        0
    };
    (integer + 1) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_by_hand() {
        // Trits 2, 0, 1, 2, 1 are 2·81 + 0·27 + 1·9 + 2·3 + 1 = 178; ceil(178 · 256 / 243) = 188.
        let mut block = [0; BLOCK_BYTES];
        block[7] = 188;
        let trits: Vec<u8> = (0..5).map(|n| trit(&block, 7 + 32 * n)).collect();
        assert_eq!(trits, [2, 0, 1, 2, 1]);
    }

    #[test]
    fn weights_come_back_from_every_part_of_the_block() {
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
