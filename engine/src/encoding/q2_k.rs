//! Q2_K: 256 elements of two bits; each 16 have four bits of scale and four of offset, under two
//! f16 for all.
//!
//! The block is 16 bytes of scales (lower half) and offsets (upper half), 64 bytes of elements in
//! planes of 32, the f16 scale and the f16 offset.
#![forbid(unsafe_code)]

use super::author::{Author, Quantiser, nearest_int};
use super::fit::Search;
use super::groups::Groups;
use super::planes::Planes;

/// Elements of a block.
pub const BLOCK: usize = 256;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 84;

const GROUP: usize = 16;
const GROUPS: usize = BLOCK / GROUP;
/// Where in a block the elements are.
pub const QUANTS_AT: usize = 16;
/// Where its scale is.
pub const SCALE_AT: usize = 80;
/// Where the scale of its offsets is.
pub const OFFSET_AT: usize = 82;
const TWO_BITS: Planes = Planes { bits: 2, width: 32 };
const HIGHEST: i32 = 15;

/// The scale of the whole block.
pub fn scale(block: &[u8; BLOCK_BYTES]) -> f32 {
    half::f16::from_le_bytes([block[SCALE_AT], block[SCALE_AT + 1]]).to_f32()
}

/// The scale of all offsets.
pub fn offset(block: &[u8; BLOCK_BYTES]) -> f32 {
    half::f16::from_le_bytes([block[OFFSET_AT], block[OFFSET_AT + 1]]).to_f32()
}

/// The scale of 16 elements, 0 to 15.
pub fn group_scale(block: &[u8; BLOCK_BYTES], group: usize) -> u8 {
    block[group] & 15
}

/// The offset of 16 elements, 0 to 15.
pub fn group_offset(block: &[u8; BLOCK_BYTES], group: usize) -> u8 {
    block[group] >> 4
}

/// One element without scale and offset, 0 to 3.
pub fn quant(block: &[u8; BLOCK_BYTES], index: usize) -> u8 {
    TWO_BITS.get(&block[QUANTS_AT..], index)
}

/// Decodes whole blocks.
pub fn decode(bytes: &[u8], out: &mut [f32]) {
    let blocks = bytes.as_chunks().0.iter();
    for (block, out) in blocks.zip(out.as_chunks_mut::<BLOCK>().0) {
        let (whole, offsets) = (scale(block), offset(block));
        for (group, out) in out.as_chunks_mut::<GROUP>().0.iter_mut().enumerate() {
            let scale = whole * f32::from(group_scale(block, group));
            let offset = offsets * f32::from(group_offset(block, group));
            for (index, out) in (GROUP * group..).zip(out) {
                *out = scale * f32::from(quant(block, index)) - offset;
            }
        }
    }
}

/// Encodes a row of whole blocks.
pub fn encode(row: &[f32], quantiser: &Quantiser, out: &mut Vec<u8>) {
    let (blocks, rest) = row.as_chunks::<BLOCK>();
    assert!(rest.is_empty(), "whole blocks of 256");
    for (i, block) in blocks.iter().enumerate() {
        let groups = match quantiser.importance {
            Some(all) => {
                let (codes, importance) = ((3, HIGHEST), &all[i * BLOCK..]);
                Groups::searched(quantiser.author, codes, block, 1.0, importance)
            }
            None => guessed(quantiser.author, block),
        };
        out.extend(pack(quantiser.author, groups, block));
    }
}

/// Every group by itself; the largest scale and the largest offset become 15.
fn guessed(author: Author, block: &[f32; BLOCK]) -> Groups<GROUPS> {
    let search = Search {
        limit: 3,
        from: -0.5,
        step: 0.1,
        last: 15,
        magnitudes: true,
        cut_first: false,
    };
    let weigh = |group: &[f32], weights: &mut [f32]| {
        for (weight, x) in weights.iter_mut().zip(group) {
            *weight = x.abs();
        }
    };
    Groups::guessed(author, search, block, weigh, shared)
}

/// Elements anew for the rounded scales, then all of it in its place.
fn pack(author: Author, mut groups: Groups<GROUPS>, block: &[f32; BLOCK]) -> [u8; BLOCK_BYTES] {
    let mut bytes = [0; BLOCK_BYTES];
    bytes[SCALE_AT..OFFSET_AT].copy_from_slice(&author.half(groups.scale));
    bytes[OFFSET_AT..].copy_from_slice(&author.half(groups.offset));
    for (byte, (scale, offset)) in bytes
        .iter_mut()
        .zip(groups.scales.iter().zip(groups.offsets))
    {
        *byte = scale | offset << 4;
    }
    groups.requantise(block, 3, |g| {
        let scale = scale(&bytes) * f32::from(group_scale(&bytes, g));
        (scale, offset(&bytes) * f32::from(group_offset(&bytes, g)))
    });
    TWO_BITS.put_all(&mut bytes[QUANTS_AT..SCALE_AT], groups.codes);
    bytes
}

/// What all are multiples of, and the multiples.
fn shared(parts: &[f32; GROUPS]) -> (f32, [u8; GROUPS]) {
    let max = parts
        .iter()
        .fold(0.0, |max, &x| if x > max { x } else { max });
    if max <= 0.0 {
        return (0.0, [0; GROUPS]);
    }
    let inverse = HIGHEST as f32 / max;
    let multiples = parts.map(|part| nearest_int(inverse * part) as u8);
    (max / HIGHEST as f32, multiples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_by_hand() {
        let mut block = [0; BLOCK_BYTES];
        block[SCALE_AT..OFFSET_AT].copy_from_slice(&half::f16::from_f32(0.5).to_le_bytes());
        block[OFFSET_AT..].copy_from_slice(&half::f16::from_f32(0.25).to_le_bytes());
        block[8 + 6] = 0x3a; // second half, plane 3, first 16: scale 10, offset 3
        block[QUANTS_AT + 32 + 5] = 0b11_00_10_01;
        let mut out = [0.0; BLOCK];
        decode(&block, &mut out);
        // 3 · 10 · 0.5 − 3 · 0.25
        assert_eq!(out[128 + 96 + 5], 14.25);
        assert_eq!(out[128 + 96 + 6], -0.75);
        assert_eq!(out[128 + 5], 0.0);
    }

    #[test]
    fn values_that_the_format_can_say_come_back() {
        let values: [f32; BLOCK] = std::array::from_fn(|i| (i * 7 % 4) as f32 - 1.0);
        let mut bytes = Vec::new();
        encode(&values, &Quantiser::default(), &mut bytes);
        let mut back = [0.0; BLOCK];
        decode(&bytes, &mut back);
        for (x, y) in values.iter().zip(&back) {
            assert!((x - y).abs() < 2e-3, "{x} came back as {y}");
        }
    }
}
