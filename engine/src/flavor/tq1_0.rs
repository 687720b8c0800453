//! TQ1_0: 256 trits in 54 bytes. Five trits share a byte, sixteen of the 256 lie four to a byte.
//!
//! A byte is a fraction of 256 in base three: multiplying by 3ⁿ modulo 256 brings trit `n` to the
//! front, and its digit is the integer part of three times the rest over 256. A block holds 32
//! bytes with the trits of elements `m + 32n`, 16 bytes with `160 + m + 16n`, 4 bytes with
//! `240 + m + 4n`, and an f16 scale.
#![forbid(unsafe_code)]

use super::Shape;
use crate::encoding::author::{largest_finite, low_byte, round_away};
use crate::encoding::{Author, Quantiser};

/// Elements of a block.
pub const BLOCK: usize = 256;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 54;
/// Where in a block the scale is.
pub const SCALE_AT: usize = 52;

const POWERS: [u8; 5] = [1, 3, 9, 27, 81];

/// Bytes of a block whose trits are strewn over the same elements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    /// The first element.
    pub element: usize,
    /// The first byte.
    pub byte: usize,
    /// How many bytes: from one trit of a byte to the next.
    pub bytes: usize,
    /// Trits of a byte.
    pub trits: usize,
}

/// The parts of a block that holds so many bytes a part.
pub(crate) const fn parts<const N: usize>(sizes: [(usize, usize); N]) -> [Part; N] {
    let nothing = Part {
        element: 0,
        byte: 0,
        bytes: 0,
        trits: 0,
    };
    let mut parts = [nothing; N];
    let (mut at, mut element, mut byte) = (0, 0, 0);
    while at < N {
        let (bytes, trits) = sizes[at];
        parts[at] = Part {
            element,
            byte,
            bytes,
            trits,
        };
        (element, byte) = (element + bytes * trits, byte + bytes);
        at += 1;
    }
    parts
}

const PARTS: [Part; 3] = parts([(32, 5), (16, 5), (4, 4)]);

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
    digit(block, &PARTS, index)
}

/// The digit of one element of a block in such parts.
pub(crate) fn digit(block: &[u8], parts: &[Part], index: usize) -> u8 {
    let part = parts.iter().rfind(|part| part.element <= index);
    let part = part.expect("the first part starts at 0");
    let (n, m) = (
        (index - part.element) / part.bytes,
        (index - part.element) % part.bytes,
    );
    digit_of(block[part.byte + m], n)
}

/// One digit of a byte.
#[inline(always)]
fn digit_of(byte: u8, n: usize) -> u8 {
    let fraction = byte.wrapping_mul(POWERS[n]);
    ((u16::from(fraction) * 3) >> 8) as u8
}

/// The value of one element: this is what the packing means.
pub fn value(bytes: &[u8], shape: Shape, row: usize, col: usize) -> f32 {
    let block = &bytes.as_chunks().0[row * (shape.cols / BLOCK) + col / BLOCK];
    (f32::from(trit(block, col % BLOCK)) - 1.0) * scale(block)
}

/// The values of a row.
pub fn decode(row: &[u8], out: &mut [f32]) {
    let blocks = row.as_chunks::<BLOCK_BYTES>().0.iter();
    for (block, out) in blocks.zip(out.as_chunks_mut::<BLOCK>().0) {
        let scale = scale(block);
        for part in PARTS {
            let bytes = &block[part.byte..][..part.bytes];
            let out = out[part.element..].chunks_exact_mut(part.bytes);
            for (n, out) in out.take(part.trits).enumerate() {
                for (&byte, out) in bytes.iter().zip(out) {
                    *out = (f32::from(digit_of(byte, n)) - 1.0) * scale;
                }
            }
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
    let (trits, scale) = quantise(weights);
    pack(&trits, &PARTS, &mut block);
    block[SCALE_AT..].copy_from_slice(&author.half(scale));
    block
}

/// Writes the digits of a block in such parts.
pub(crate) fn pack(trits: &[u8], parts: &[Part], block: &mut [u8]) {
    for part in parts {
        for m in 0..part.bytes {
            // Digits most significant first; four of them leave the last place zero. Five fit a
            // byte; what a NaN hid from the scale is no digit, and wraps as the reference does.
            let digits = (0..5).fold(0u8, |digits, n| {
                let trit = (n < part.trits).then(|| trits[part.element + m + n * part.bytes]);
                digits.wrapping_mul(3).wrapping_add(trit.unwrap_or(0))
            });
            // The smallest byte whose fraction of 256 is at least digits / 243.
            block[part.byte + m] = (u16::from(digits) * 256).div_ceil(243) as u8;
        }
    }
}

/// Digits and scale of a block.
pub(crate) fn quantise<const N: usize>(weights: &[f32; N]) -> ([u8; N], f32) {
    // As the format's own quantiser has it, so a NaN takes over and is taken over alike.
    let larger = |max: f32, w: &f32| if max > w.abs() { max } else { w.abs() };
    let finite = largest_finite(weights);
    let scale = finite.unwrap_or_else(|| weights.iter().fold(0.0, larger));
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let usual = finite.is_some() && inverse.is_finite();
    let trit = |w: f32| {
        if usual {
            low_byte(round_away(w * inverse) + 1.0)
        } else {
            trit_of(w * inverse)
        }
    };
    (weights.map(trit), scale)
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
    // The largest integer is one that many weights beside a NaN have.
    integer.wrapping_add(1) as u8
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

    /// Behind a NaN the scale begins anew, so what lies before it may be any multiple of it.
    #[test]
    fn a_weight_that_a_nan_hid_from_the_scale_wraps() {
        let mut weights = [1e-5; BLOCK];
        (weights[0], weights[1]) = (1e30, f32::NAN);
        let (trits, scale) = quantise(&weights);
        assert_eq!((scale, &trits[..3]), (1e-5, &[0, 1, 2][..]));
        weights[0] = -1e30;
        assert_eq!(quantise(&weights).0[0], 1);
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
