//! Q1_0: 128 signs under one f16 scale, the mean magnitude.
//!
//! The block is the scale, then 16 bytes of signs, the first element in the lowest bit. A set bit
//! means plus.
#![forbid(unsafe_code)]

use super::author::Quantiser;
use super::planes::Planes;

/// Elements of a block.
pub const BLOCK: usize = 128;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 18;

const SIGNS: Planes = Planes { bits: 1, width: 1 };

/// The scale of a block.
pub fn scale(block: &[u8; BLOCK_BYTES]) -> f32 {
    half::f16::from_le_bytes([block[0], block[1]]).to_f32()
}

/// One element without its scale: −1 or +1.
pub fn quant(block: &[u8; BLOCK_BYTES], index: usize) -> i8 {
    2 * SIGNS.get(&block[2..], index).cast_signed() - 1
}

/// Decodes whole blocks.
pub fn decode(bytes: &[u8], out: &mut [f32]) {
    let blocks = bytes.as_chunks().0.iter();
    for (block, out) in blocks.zip(out.as_chunks_mut::<BLOCK>().0) {
        for (index, out) in out.iter_mut().enumerate() {
            // A negation and no product: a NaN keeps its bits.
            let scale = scale(block);
            *out = if quant(block, index) > 0 {
                scale
            } else {
                -scale
            };
        }
    }
}

/// Encodes a row of whole blocks. Importance changes nothing: there is one choice.
pub fn encode(row: &[f32], quantiser: &Quantiser, out: &mut Vec<u8>) {
    let (blocks, rest) = row.as_chunks::<BLOCK>();
    assert!(rest.is_empty(), "whole blocks of 128");
    for values in blocks {
        let sum = values.iter().fold(0.0, |sum, x| sum + x.abs());
        let mut block = [0; BLOCK_BYTES];
        block[..2].copy_from_slice(&quantiser.author.half(sum / BLOCK as f32));
        SIGNS.put_all(&mut block[2..], values.map(|x| u8::from(x >= 0.0)));
        out.extend(block);
    }
}

/// Decodes whole blocks whose signs are negated: OxiBonsai's before version 0.2.
pub fn decode_negated(bytes: &[u8], out: &mut [f32]) {
    decode(bytes, out);
    out.iter_mut().for_each(|x| *x = -*x);
}

/// Encodes so, and with its scale: the largest magnitude.
pub fn encode_negated(row: &[f32], quantiser: &Quantiser, out: &mut Vec<u8>) {
    let (blocks, rest) = row.as_chunks::<BLOCK>();
    assert!(rest.is_empty(), "whole blocks of 128");
    for values in blocks {
        let peak = values.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
        let mut block = [0; BLOCK_BYTES];
        block[..2].copy_from_slice(&quantiser.author.half(peak));
        SIGNS.put_all(&mut block[2..], values.map(|x| u8::from(x < 0.0)));
        out.extend(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_by_hand() {
        let mut values = [3.0; BLOCK];
        (values[0], values[9]) = (-1.0, -5.0);
        let mut bytes = Vec::new();
        encode(&values, &Quantiser::default(), &mut bytes);
        assert_eq!(bytes[..5], [0x00, 0x42, 0xfe, 0xfd, 0xff]);
        let mut back = [0.0; BLOCK];
        decode(&bytes, &mut back);
        assert_eq!((back[0], back[1], back[9]), (-3.0, 3.0, -3.0));
        bytes.clear();
        encode_negated(&values, &Quantiser::default(), &mut bytes);
        assert_eq!(bytes[..5], [0x00, 0x45, 0x01, 0x02, 0x00]);
        decode_negated(&bytes, &mut back);
        assert_eq!((back[0], back[1], back[9]), (-5.0, 5.0, -5.0));
    }
}
