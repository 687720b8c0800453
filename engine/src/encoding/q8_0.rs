//! Q8_0: 32 elements as one f16 scale and 32 signed bytes.
#![forbid(unsafe_code)]

use super::author::{Author, Quantiser, largest_finite, low_byte, round_away};

/// Elements of a block.
pub const BLOCK: usize = 32;
/// Bytes of a block: the scale, then the elements.
pub const BLOCK_BYTES: usize = 34;

/// The block's scale.
pub fn scale(block: &[u8; BLOCK_BYTES]) -> f32 {
    half::f16::from_le_bytes([block[0], block[1]]).to_f32()
}

/// One element without its scale.
pub fn quant(block: &[u8; BLOCK_BYTES], index: usize) -> i8 {
    block[2 + index].cast_signed()
}

/// Decodes whole blocks: element times scale.
pub fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes
        .as_chunks()
        .0
        .iter()
        .zip(out.as_chunks_mut::<BLOCK>().0)
    {
        let scale = scale(block);
        for (index, out) in out.iter_mut().enumerate() {
            *out = f32::from(quant(block, index)) * scale;
        }
    }
}

/// Encodes a row of whole blocks as the format's own quantiser does: ties away from zero, and no
/// regard to importance.
pub fn encode(row: &[f32], quantiser: &Quantiser, out: &mut Vec<u8>) {
    let (blocks, rest) = row.as_chunks::<BLOCK>();
    assert!(rest.is_empty(), "whole blocks of 32");
    out.extend(
        blocks
            .iter()
            .flat_map(|block| encode_block(quantiser.author, block)),
    );
}

fn encode_block(author: Author, values: &[f32; BLOCK]) -> [u8; BLOCK_BYTES] {
    // As the format's own quantiser has it, so a NaN takes over and is taken over alike.
    let larger = |max: f32, x: &f32| if max > x.abs() { max } else { x.abs() };
    let finite = largest_finite(values);
    let max = finite.unwrap_or_else(|| values.iter().fold(0.0, larger));
    let scale = max / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let mut block = [0; BLOCK_BYTES];
    block[..2].copy_from_slice(&author.half(scale));
    let usual = finite.is_some() && inverse.is_finite();
    for (byte, x) in block[2..].iter_mut().zip(values) {
        *byte = if usual {
            low_byte(round_away(x * inverse))
        } else {
            ((x * inverse).round() as i8).cast_unsigned()
        };
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_by_hand() {
        let mut values = [0.0; BLOCK];
        // The largest magnitude is 127, so the scale is 1; 0.5 is a tie and goes away from zero.
        (values[0], values[1], values[31]) = (-127.0, 0.5, 3.25);
        let mut bytes = Vec::new();
        encode(&values, &Quantiser::default(), &mut bytes);
        assert_eq!(bytes.len(), BLOCK_BYTES);
        assert_eq!(bytes[..4], [0x00, 0x3c, 0x81, 1]);
        assert_eq!(bytes[33], 3);
        let mut back = [0.0; BLOCK];
        decode(&bytes, &mut back);
        assert_eq!((back[0], back[1], back[31]), (-127.0, 1.0, 3.0));
    }
}
