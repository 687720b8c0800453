//! Q4_K and Q5_K: 256 elements of four or five bits; each 32 have six bits of scale and six of
//! offset, under two f16 for all.
//!
//! The block is the f16 scale, the f16 offset, 12 bytes of scales and offsets, 32 bytes of fifth
//! bits if there are any, and 128 bytes of lower four bits, both in planes of 32. Scale and offset
//! of the first four groups are six bits of a byte each; those of the others are the halves of
//! four bytes, with their upper two bits above the six.
#![forbid(unsafe_code)]

use super::author::{Author, Quantiser, nearest_int, squares};
use super::fit::Search;
use super::groups::Groups;
use super::planes::Planes;

/// Elements of a block.
pub const BLOCK: usize = 256;
/// Elements that share a scale and an offset.
pub const GROUP: usize = 32;

const GROUPS: usize = BLOCK / GROUP;
const SCALES_AT: usize = 4;
/// Where in a block the fifth bits are, if there are any.
pub const FIFTH_AT: usize = 16;
const LOW: Planes = Planes { bits: 4, width: 32 };
const FIFTH: Planes = Planes { bits: 1, width: 32 };
const HIGHEST: i32 = 63;

/// One of the two.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Bits of an element: 4 or 5.
    pub bits: u32,
}

/// Four bits.
pub const Q4_K: Layout = Layout { bits: 4 };
/// Five bits.
pub const Q5_K: Layout = Layout { bits: 5 };

/// The scale of the whole block.
pub fn scale(block: &[u8]) -> f32 {
    half::f16::from_le_bytes([block[0], block[1]]).to_f32()
}

/// The scale of all offsets.
pub fn offset(block: &[u8]) -> f32 {
    half::f16::from_le_bytes([block[2], block[3]]).to_f32()
}

/// Scale and offset of 32 elements, 0 to 63 each.
pub fn group(block: &[u8], group: usize) -> (u8, u8) {
    let packed = &block[SCALES_AT..FIFTH_AT];
    match group.checked_sub(4) {
        None => (packed[group] & 63, packed[group + 4] & 63),
        Some(later) => {
            let (low, high) = (packed[8 + later] & 15, packed[8 + later] >> 4);
            let (scale, offset) = (packed[later] >> 6, packed[later + 4] >> 6);
            (low | scale << 4, high | offset << 4)
        }
    }
}

/// The same of all groups, a byte each: scales and offsets.
pub fn groups(block: &[u8]) -> (u64, u64) {
    const SIX: u32 = 0x3f3f_3f3f;
    const NIBBLES: u32 = 0x0f0f_0f0f;
    let four = |at: usize| {
        let bytes = block[SCALES_AT + at..].first_chunk();
        u32::from_le_bytes(*bytes.expect("four bytes"))
    };
    let (scales, offsets, rest) = (four(0), four(4), four(8));
    let later = |low: u32, high: u32| low & NIBBLES | high >> 2 & (SIX ^ NIBBLES);
    let eight = |first: u32, later: u32| u64::from(first & SIX) | u64::from(later) << 32;
    (
        eight(scales, later(rest, scales)),
        eight(offsets, later(rest >> 4, offsets)),
    )
}

fn put_group(block: &mut [u8], group: usize, scale: u8, offset: u8) {
    let packed = &mut block[SCALES_AT..FIFTH_AT];
    match group.checked_sub(4) {
        None => (packed[group], packed[group + 4]) = (scale, offset),
        Some(later) => {
            packed[8 + later] = scale & 15 | (offset & 15) << 4;
            packed[later] |= (scale >> 4) << 6;
            packed[later + 4] |= (offset >> 4) << 6;
        }
    }
}

impl Layout {
    /// Bytes of a block.
    pub const fn block_bytes(self) -> usize {
        self.low_at() + BLOCK / 2
    }

    /// Where the lower four bits are.
    pub const fn low_at(self) -> usize {
        FIFTH_AT + if self.bits == 5 { BLOCK / 8 } else { 0 }
    }

    /// One element without scale and offset.
    pub fn quant(self, block: &[u8], index: usize) -> u8 {
        let low = LOW.get(&block[self.low_at()..], index);
        if self.bits == 5 {
            low | FIFTH.get(&block[FIFTH_AT..], index) << 4
        } else {
            low
        }
    }

    /// Decodes whole blocks.
    pub fn decode(self, bytes: &[u8], out: &mut [f32]) {
        let blocks = bytes.chunks_exact(self.block_bytes());
        for (block, out) in blocks.zip(out.as_chunks_mut::<BLOCK>().0) {
            let (whole, offsets) = (scale(block), offset(block));
            for (g, out) in out.as_chunks_mut::<GROUP>().0.iter_mut().enumerate() {
                let (scale, offset) = group(block, g);
                let (scale, offset) = (whole * f32::from(scale), offsets * f32::from(offset));
                for (index, out) in (GROUP * g..).zip(out) {
                    *out = scale * f32::from(self.quant(block, index)) - offset;
                }
            }
        }
    }

    /// Encodes a row of whole blocks.
    pub fn encode(self, row: &[f32], quantiser: &Quantiser, out: &mut Vec<u8>) {
        let author = quantiser.author;
        let (blocks, rest) = row.as_chunks::<BLOCK>();
        assert!(rest.is_empty(), "whole blocks of 256");
        for (i, block) in blocks.iter().enumerate() {
            let groups = match quantiser.importance {
                Some(all) => self.searched(author, block, &all[i * BLOCK..]),
                None => self.guessed(author, block),
            };
            self.pack(author, block, groups, out);
        }
    }

    /// Every group by itself; the largest scale and the largest offset become 63.
    fn guessed(self, author: Author, block: &[f32; BLOCK]) -> Groups<GROUPS> {
        let (from, last) = if self.bits == 4 {
            (-1.0, 20)
        } else {
            (-0.5, 15)
        };
        let search = Search {
            limit: self.limit(),
            from,
            step: 0.1,
            last,
            magnitudes: false,
            cut_first: false,
        };
        let weigh = |group: &[f32], weights: &mut [f32]| {
            let spread = (squares(author, group) / GROUP as f32).sqrt();
            for (weight, x) in weights.iter_mut().zip(group) {
                *weight = spread + x.abs();
            }
        };
        Groups::guessed(author, search, block, weigh, shared)
    }

    /// With regard to the importance of the columns.
    fn searched(self, author: Author, block: &[f32; BLOCK], importance: &[f32]) -> Groups<GROUPS> {
        let codes = (self.limit(), HIGHEST);
        let mut found = Groups::searched(author, codes, block, 2.0, importance);
        if self.bits == 5 {
            found.scales = found.scales.map(|scale| scale.min(HIGHEST as u8));
            found.offsets = found.offsets.map(|offset| offset.min(HIGHEST as u8));
        }
        found
    }

    fn limit(self) -> i32 {
        (1 << self.bits) - 1
    }

    /// Elements anew for the rounded scales, then all of it in its place.
    fn pack(
        self,
        author: Author,
        values: &[f32; BLOCK],
        mut groups: Groups<GROUPS>,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        out.resize(start + self.block_bytes(), 0);
        let block = &mut out[start..];
        block[..2].copy_from_slice(&author.half(groups.scale));
        block[2..4].copy_from_slice(&author.half(groups.offset));
        for g in 0..GROUPS {
            put_group(block, g, groups.scales[g], groups.offsets[g]);
        }
        groups.requantise(values, self.limit(), |g| {
            let (group_scale, group_offset) = group(block, g);
            let scale = scale(block) * f32::from(group_scale);
            (scale, offset(block) * f32::from(group_offset))
        });
        LOW.put_all(&mut block[self.low_at()..], groups.codes);
        if self.bits == 5 {
            let fifth = groups.codes.map(|code| code >> 4);
            FIFTH.put_all(&mut block[FIFTH_AT..], fifth);
        }
    }
}

/// What all are multiples of, and the multiples.
fn shared(parts: &[f32; GROUPS]) -> (f32, [u8; GROUPS]) {
    let max = parts
        .iter()
        .fold(0.0, |max, &x| if x > max { x } else { max });
    let inverse = if max > 0.0 { HIGHEST as f32 / max } else { 0.0 };
    let multiple = |part: f32| (nearest_int(inverse * part) as u8).min(HIGHEST as u8);
    (max / HIGHEST as f32, parts.map(multiple))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_and_offsets_come_back() {
        let mut block = [0; 16];
        let pairs: [(u8, u8); GROUPS] = std::array::from_fn(|g| (63 - g as u8, 9 * g as u8 % 64));
        for (g, (scale, offset)) in pairs.into_iter().enumerate() {
            put_group(&mut block, g, scale, offset);
        }
        assert_eq!(std::array::from_fn(|g| group(&block, g)), pairs);
    }

    #[test]
    fn a_block_by_hand() {
        let mut block = vec![0; Q5_K.block_bytes()];
        block[..2].copy_from_slice(&half::f16::from_f32(0.5).to_le_bytes());
        block[2..4].copy_from_slice(&half::f16::from_f32(0.25).to_le_bytes());
        put_group(&mut block, 7, 33, 2);
        block[FIFTH_AT + 5] = 0x80;
        block[Q5_K.low_at() + 96 + 5] = 0x90;
        let mut out = [0.0; BLOCK];
        Q5_K.decode(&block, &mut out);
        // (9 + 16) · 33 · 0.5 − 2 · 0.25
        assert_eq!(out[224 + 5], 412.0);
        assert_eq!((out[224 + 6], out[5]), (-0.5, 0.0));
    }

    #[test]
    fn values_that_the_format_can_say_come_back() {
        for layout in [Q4_K, Q5_K] {
            let values: [f32; BLOCK] = std::array::from_fn(|i| (i * 7 % 16) as f32 - 3.0);
            let mut bytes = Vec::new();
            layout.encode(&values, &Quantiser::default(), &mut bytes);
            let mut back = [0.0; BLOCK];
            layout.decode(&bytes, &mut back);
            for (x, y) in values.iter().zip(&back) {
                assert!((x - y).abs() < 2e-2, "{x} came back as {y}");
            }
        }
    }
}
