//! Q2_0: 64 elements of two bits under one f16 scale, the largest magnitude.
//!
//! The block is the scale, then 16 bytes, four neighbours in each, the first in the lowest bits.
//! Codes 0 to 3 mean −1 to +2; the quantiser never writes the last.
#![forbid(unsafe_code)]

use super::author::{Quantiser, truncate};
use super::planes::Planes;

/// Elements of a block.
pub const BLOCK: usize = 64;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 18;

const CODES: Planes = Planes { bits: 2, width: 1 };

/// The scale of a block.
pub fn scale(block: &[u8; BLOCK_BYTES]) -> f32 {
    half::f16::from_le_bytes([block[0], block[1]]).to_f32()
}

/// One element without its scale, −1 to 2.
pub fn quant(block: &[u8; BLOCK_BYTES], index: usize) -> i8 {
    CODES.get(&block[2..], index).cast_signed() - 1
}

/// Decodes whole blocks.
pub fn decode(bytes: &[u8], out: &mut [f32]) {
    let blocks = bytes.as_chunks().0.iter();
    for (block, out) in blocks.zip(out.as_chunks_mut::<BLOCK>().0) {
        for (index, out) in out.iter_mut().enumerate() {
            *out = f32::from(quant(block, index)) * scale(block);
        }
    }
}

/// Encodes a row of whole blocks. Importance changes nothing: there is one choice.
pub fn encode(row: &[f32], quantiser: &Quantiser, out: &mut Vec<u8>) {
    let (blocks, rest) = row.as_chunks::<BLOCK>();
    assert!(rest.is_empty(), "whole blocks of 64");
    for values in blocks {
        let larger = |max: f32, x: &f32| if x.abs() > max { x.abs() } else { max };
        let scale = values.iter().fold(0.0, larger);
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        let code = |x: f32| truncate((x * inverse).round()).wrapping_add(1).clamp(0, 3) as u8;
        let mut block = [0; BLOCK_BYTES];
        block[..2].copy_from_slice(&quantiser.author.half(scale));
        CODES.put_all(&mut block[2..], values.map(code));
        out.extend(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_by_hand() {
        let mut values = [0.0; BLOCK];
        (values[0], values[1], values[2], values[4]) = (-2.0, 1.0, 0.9, 2.0);
        let mut bytes = Vec::new();
        encode(&values, &Quantiser::default(), &mut bytes);
        // The scale is 2; one half is a tie and goes away from zero.
        assert_eq!(bytes[..4], [0x00, 0x40, 0b01_01_10_00, 0b01_01_01_10]);
        let mut back = [0.0; BLOCK];
        decode(&bytes, &mut back);
        assert_eq!(back[..5], [-2.0, 2.0, 0.0, 0.0, 2.0]);
    }
}
