//! PrismML's PTQ1_0: 128 trits in 28 bytes, packed as TQ1_0 packs 256, with an f16 scale behind.
//!
//! 16 bytes hold five trits each of elements `m + 16n`, 8 bytes of `80 + m + 8n`, and 2 bytes four
//! of `120 + m + 2n`. Where a file says that its weights are rotated, so must activations be.
#![forbid(unsafe_code)]

use super::tq1_0::{Part, digit, pack, parts, quantise};
use crate::encoding::Quantiser;

/// Elements of a block.
pub const BLOCK: usize = 128;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 28;
/// Where in a block the scale is.
const SCALE_AT: usize = 26;

const PARTS: [Part; 3] = parts([(16, 5), (8, 5), (2, 4)]);

/// Decodes whole blocks.
pub fn decode(bytes: &[u8], out: &mut [f32]) {
    let blocks = bytes.as_chunks::<BLOCK_BYTES>().0.iter();
    for (block, out) in blocks.zip(out.as_chunks_mut::<BLOCK>().0) {
        let scale = half::f16::from_le_bytes([block[SCALE_AT], block[SCALE_AT + 1]]).to_f32();
        for (index, out) in out.iter_mut().enumerate() {
            *out = (f32::from(digit(block, &PARTS, index)) - 1.0) * scale;
        }
    }
}

/// Encodes a row of whole blocks. Importance changes nothing: there is one choice.
pub fn encode(row: &[f32], quantiser: &Quantiser, out: &mut Vec<u8>) {
    let (blocks, rest) = row.as_chunks::<BLOCK>();
    assert!(rest.is_empty(), "whole blocks of 128");
    for values in blocks {
        let (trits, scale) = quantise(values);
        let mut block = [0; BLOCK_BYTES];
        pack(&trits, &PARTS, &mut block);
        block[SCALE_AT..].copy_from_slice(&quantiser.author.half(scale));
        out.extend(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trits_come_back_from_where_the_format_puts_them() {
        let values: [f32; BLOCK] = std::array::from_fn(|i| ((i * 5 % 7 % 3) as f32 - 1.0) * 0.5);
        let (mut bytes, mut back) = (Vec::new(), [0.0; BLOCK]);
        encode(&values, &Quantiser::default(), &mut bytes);
        decode(&bytes, &mut back);
        assert_eq!(back, values);
        // Nothing but zeros is 121 of 243 in five trits, and 120 in four; ceil(· · 256 / 243).
        let mut zeros = Vec::new();
        encode(&[0.0; BLOCK], &Quantiser::default(), &mut zeros);
        assert_eq!(zeros[..24], [128; 24]);
        assert_eq!(zeros[24..], [127, 127, 0, 0]);
        // One trit of each part.
        for (element, byte) in [
            (16 * 3 + 7, 7),
            (80 + 8 * 4 + 5, 16 + 5),
            (120 + 2 * 2 + 1, 25),
        ] {
            let mut one = [0.0; BLOCK];
            one[element] = 1.0;
            bytes.clear();
            encode(&one, &Quantiser::default(), &mut bytes);
            let changed = (0..26)
                .filter(|&at| bytes[at] != zeros[at])
                .collect::<Vec<_>>();
            assert_eq!(changed, [byte], "element {element}");
        }
    }
}
