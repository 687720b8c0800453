//! Q6_K: 256 elements of six bits, a signed byte of scale for each 16, one f16 scale for all.
//!
//! The block is 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 scales and the f16.
//! Nibbles lie in planes of 64 elements, bit pairs in planes of 32.
#![forbid(unsafe_code)]

use super::author::{Author, Quantiser, first_largest, nearest_int};
use super::fit;
use super::planes::Planes;

/// Elements of a block.
pub const BLOCK: usize = 256;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 210;
/// Where the upper bit pairs start.
pub const HIGH_AT: usize = 128;
/// Where the 16 scales start.
pub const SCALES_AT: usize = 192;

const LOW: Planes = Planes { bits: 4, width: 64 };
const HIGH: Planes = Planes { bits: 2, width: 32 };
const SCALE_AT: usize = 208;
/// Elements under a scale of their own.
pub const GROUP: usize = 16;
/// Groups of a block.
pub const GROUPS: usize = BLOCK / GROUP;

/// The scale of the whole block.
pub fn scale(block: &[u8; BLOCK_BYTES]) -> f32 {
    half::f16::from_le_bytes([block[SCALE_AT], block[SCALE_AT + 1]]).to_f32()
}

/// The scale of the 16 elements around one.
pub fn group_scale(block: &[u8; BLOCK_BYTES], index: usize) -> i8 {
    block[SCALES_AT + index / GROUP].cast_signed()
}

/// One element without its scales, −32 to 31.
pub fn quant(block: &[u8; BLOCK_BYTES], index: usize) -> i8 {
    let low = LOW.get(block, index);
    let high = HIGH.get(&block[HIGH_AT..], index);
    (low | high << 4).cast_signed() - 32
}

/// Decodes whole blocks: block scale times group scale, then times the element.
pub fn decode(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes
        .as_chunks()
        .0
        .iter()
        .zip(out.as_chunks_mut::<BLOCK>().0)
    {
        let whole = scale(block);
        for (group, out) in out.as_chunks_mut::<GROUP>().0.iter_mut().enumerate() {
            let scale = whole * f32::from(group_scale(block, GROUP * group));
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

/// The group scale of largest magnitude becomes −128.
fn encode_block(
    author: Author,
    values: &[f32; BLOCK],
    importance: Option<&[f32]>,
) -> [u8; BLOCK_BYTES] {
    let mut codes = [0; BLOCK];
    let mut scales = [0.0; GROUPS];
    for (g, group) in values.as_chunks::<GROUP>().0.iter().enumerate() {
        let weight = |i: usize| match importance {
            Some(importance) => importance[g * GROUP + i],
            None => group[i] * group[i],
        };
        let codes = &mut codes[g * GROUP..][..GROUP];
        scales[g] = fit::symmetric(author, 32, group, weight, codes);
    }
    let largest = first_largest(&scales);
    if largest.abs() < fit::TINY {
        return [0; BLOCK_BYTES];
    }
    let inverse = -128.0 / largest;
    let half = author.half(1.0 / inverse);
    let scales = scales.map(|scale| nearest_int(inverse * scale).min(127) as i8);
    for (g, group) in values.as_chunks::<GROUP>().0.iter().enumerate() {
        let scale = half::f16::from_le_bytes(half).to_f32() * f32::from(scales[g]);
        if scale == 0.0 {
            continue;
        }
        for (code, x) in codes[g * GROUP..].iter_mut().zip(group) {
            *code = (nearest_int(x / scale).clamp(-32, 31) + 32) as u8;
        }
    }
    pack(half, &scales, &codes)
}

/// A block of its scale, the scales of its groups, and its elements with 32 added.
pub fn pack(scale: [u8; 2], scales: &[i8; GROUPS], codes: &[u8; BLOCK]) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    LOW.put_all(&mut block[..HIGH_AT], *codes);
    HIGH.put_all(&mut block[HIGH_AT..SCALES_AT], codes.map(|code| code >> 4));
    block[SCALES_AT..SCALE_AT].copy_from_slice(&scales.map(i8::cast_unsigned));
    block[SCALE_AT..].copy_from_slice(&scale);
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(values: &[f32]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(values, &Quantiser::default(), &mut out);
        out
    }

    #[test]
    fn a_block_by_hand() {
        let mut block = [0; BLOCK_BYTES];
        block[SCALE_AT..].copy_from_slice(&half::f16::from_f32(0.5).to_le_bytes());
        block[SCALES_AT..SCALE_AT].fill(2);
        block[SCALES_AT + 8 + 6] = 0xff; // second half, plane 3, first 16: −1
        block[64 + 32 + 5] = 0x90; // second half, planes 1 and 3, lane 5: nibbles 0 and 9
        block[HIGH_AT + 32 + 5] = 0b11_00_00_00; // plane 3: upper bits 3
        let mut out = [0.0; BLOCK];
        decode(&block, &mut out);
        // 9 + 3·16 − 32 = 25, times 0.5 · −1.
        assert_eq!(out[128 + 96 + 5], -12.5);
        assert_eq!(out[128 + 32 + 5], -32.0);
        assert_eq!(out[0], -32.0);
    }

    #[test]
    fn the_encoder_stays_within_half_a_step() {
        let values: Vec<f32> = (0..512)
            .map(|i| ((i * 37 % 101) as f32 - 50.0) / 9.0)
            .collect();
        let mut back = vec![0.0; 512];
        decode(&encoded(&values), &mut back);
        for (x, y) in values.iter().zip(&back) {
            assert!((x - y).abs() <= 50.0 / 9.0 / 31.0, "{x} came back as {y}");
        }
    }

    #[test]
    fn zeros_stay_zeros() {
        let mut back = [1.0; BLOCK];
        decode(&encoded(&[0.0; BLOCK]), &mut back);
        assert_eq!(back, [0.0; BLOCK]);
    }
}
