//! Q3_K: 256 elements of three bits around zero; each 16 have six bits of scale, under one f16.
//!
//! The block is 32 bytes of third bits, 64 bytes of lower bit pairs, both in planes of 32, 12
//! bytes of scales and the f16. A third bit that is not set takes four off. Scales have 32 taken
//! off: their lower four bits are the halves of eight bytes, first the lower ones, and their
//! upper two lie in the last four bytes, every fourth in the same.
#![forbid(unsafe_code)]

use super::author::{self, Author, Quantiser, first_largest, nearest_int, squares};
use super::fit;
use super::planes::Planes;

/// Elements of a block.
pub const BLOCK: usize = 256;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 110;

const GROUP: usize = 16;
const GROUPS: usize = BLOCK / GROUP;
/// Where in a block the lower two bits are.
pub const LOW_AT: usize = 32;
/// Where the scales of groups are.
pub const SCALES_AT: usize = 96;
const SCALE_AT: usize = 108;
const LOW: Planes = Planes { bits: 2, width: 32 };
const THIRD: Planes = Planes { bits: 1, width: 32 };
const SCALES_LOW: Planes = Planes { bits: 4, width: 8 };
const SCALES_HIGH: Planes = Planes { bits: 2, width: 4 };

/// The scale of the whole block.
pub fn scale(block: &[u8; BLOCK_BYTES]) -> f32 {
    half::f16::from_le_bytes([block[SCALE_AT], block[SCALE_AT + 1]]).to_f32()
}

/// The scale of 16 elements, −32 to 31.
pub fn group_scale(block: &[u8; BLOCK_BYTES], group: usize) -> i8 {
    let low = SCALES_LOW.get(&block[SCALES_AT..], group);
    let high = SCALES_HIGH.get(&block[SCALES_AT + 8..], group);
    (low | high << 4).cast_signed() - 32
}

/// One element without its scale, −4 to 3.
pub fn quant(block: &[u8; BLOCK_BYTES], index: usize) -> i8 {
    let low = LOW.get(&block[LOW_AT..], index);
    (low | THIRD.get(block, index) << 2).cast_signed() - 4
}

/// Decodes whole blocks: block scale times group scale, then times the element.
pub fn decode(bytes: &[u8], out: &mut [f32]) {
    let blocks = bytes.as_chunks().0.iter();
    for (block, out) in blocks.zip(out.as_chunks_mut::<BLOCK>().0) {
        let whole = scale(block);
        for (group, out) in out.as_chunks_mut::<GROUP>().0.iter_mut().enumerate() {
            let scale = whole * f32::from(group_scale(block, group));
            for (index, out) in (GROUP * group..).zip(out) {
                *out = scale * f32::from(quant(block, index));
            }
        }
    }
}

/// Encodes a row of whole blocks.
pub fn encode(row: &[f32], quantiser: &Quantiser, out: &mut Vec<u8>) {
    let (blocks, rest) = row.as_chunks::<BLOCK>();
    assert!(rest.is_empty(), "whole blocks of 256");
    for (i, block) in blocks.iter().enumerate() {
        let importance = quantiser.importance.map(|all| &all[i * BLOCK..][..BLOCK]);
        out.extend(encode_block(quantiser.author, block, importance));
    }
}

fn encode_block(
    author: Author,
    block: &[f32; BLOCK],
    importance: Option<&[f32]>,
) -> [u8; BLOCK_BYTES] {
    let mut codes = [0; BLOCK];
    let (scale, scales) = match importance {
        Some(importance) => searched(author, block, importance, &mut codes),
        None => guessed(author, block, &mut codes),
    };
    let mut bytes = [0; BLOCK_BYTES];
    bytes[SCALE_AT..].copy_from_slice(&author.half(scale));
    SCALES_LOW.put_all(&mut bytes[SCALES_AT..SCALES_AT + 8], scales);
    SCALES_HIGH.put_all(&mut bytes[SCALES_AT + 8..SCALE_AT], scales.map(|s| s >> 4));
    requantise(&bytes, block, &mut codes);
    LOW.put_all(&mut bytes[LOW_AT..SCALES_AT], codes);
    THIRD.put_all(&mut bytes[..LOW_AT], codes.map(|code| code >> 2));
    bytes
}

/// Every group by itself; the scale of largest magnitude becomes −32.
fn guessed(author: Author, block: &[f32; BLOCK], codes: &mut [u8; BLOCK]) -> (f32, [u8; GROUPS]) {
    let mut scales = [0.0; GROUPS];
    for (g, group) in block.as_chunks::<GROUP>().0.iter().enumerate() {
        let codes = &mut codes[g * GROUP..][..GROUP];
        scales[g] = fit::symmetric_by_steps(author, 4, group, codes);
    }
    let largest = first_largest(&scales);
    if largest == 0.0 {
        return (0.0, [0; GROUPS]);
    }
    let inverse = -32.0 / largest;
    let code = |scale: f32| (nearest_int(inverse * scale) as i8).clamp(-32, 31) + 32;
    (
        1.0 / inverse,
        scales.map(|scale| code(scale).cast_unsigned()),
    )
}

/// With regard to the importance of the columns.
fn searched(
    author: Author,
    block: &[f32; BLOCK],
    importance: &[f32],
    codes: &mut [u8; BLOCK],
) -> (f32, [u8; GROUPS]) {
    let variance = 2.0 * squares(author, block) / BLOCK as f32;
    let (mut scales, mut sums) = ([0.0; GROUPS], [0.0; GROUPS]);
    for (g, group) in block.as_chunks::<GROUP>().0.iter().enumerate() {
        let mut weights = [0.0; GROUP];
        author::weights(
            author,
            variance,
            group,
            &importance[g * GROUP..],
            &mut weights,
        );
        sums[g] = weights.iter().sum();
        let codes = &mut codes[g * GROUP..][..GROUP];
        scales[g] = fit::symmetric(author, 4, group, |i| weights[i], codes);
    }
    let mut multiples = [0; GROUPS];
    let scale = fit::symmetric(author, 32, &scales, |i| sums[i], &mut multiples);
    (scale, multiples)
}

/// Elements anew for the rounded scales.
fn requantise(bytes: &[u8; BLOCK_BYTES], block: &[f32; BLOCK], codes: &mut [u8; BLOCK]) {
    for g in 0..GROUPS {
        let scale = scale(bytes) * f32::from(group_scale(bytes, g));
        if scale == 0.0 {
            continue;
        }
        for i in g * GROUP..(g + 1) * GROUP {
            codes[i] = (nearest_int(block[i] / scale).clamp(-4, 3) + 4) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_by_hand() {
        let mut block = [0; BLOCK_BYTES];
        block[SCALE_AT..].copy_from_slice(&half::f16::from_f32(0.5).to_le_bytes());
        // Group 14: lower bits in the upper half of byte 6, upper ones at shift 6 of byte 8 + 2.
        (block[SCALES_AT + 6], block[SCALES_AT + 10]) = (0x90, 0b10_00_00_00);
        block[LOW_AT + 32 + 5] = 0b11_00_00_00;
        block[5] = 0x80;
        let mut out = [0.0; BLOCK];
        decode(&block, &mut out);
        // Scale 9 + 32 − 32, element 3 + 4 − 4.
        assert_eq!(out[128 + 96 + 5], 13.5);
        assert_eq!(out[128 + 96 + 6], -18.0);
        assert_eq!(out[0], 64.0);
    }

    #[test]
    fn values_that_the_format_can_say_come_back() {
        let values: [f32; BLOCK] = std::array::from_fn(|i| (i * 7 % 8) as f32 - 4.0);
        let mut bytes = Vec::new();
        encode(&values, &Quantiser::default(), &mut bytes);
        let mut back = [0.0; BLOCK];
        decode(&bytes, &mut back);
        for (x, y) in values.iter().zip(&back) {
            assert!((x - y).abs() < 2e-3, "{x} came back as {y}");
        }
    }
}
