//! Q4_0, Q4_1, Q5_0 and Q5_1: 32 elements of four or five bits under one f16 scale, with an f16
//! minimum in the formats that end with 1.
//!
//! A block is the scale, the minimum if there is one, 32 fifth bits if there are any, and 16 bytes:
//! byte `j` holds the lower four bits of elements `j` and `j + 16`. Without a minimum the middle
//! of the range means zero.
#![forbid(unsafe_code)]

use super::author::{self, Author, Quantiser, first_largest, squares, truncate};
use super::fit::{self, Search};
use super::planes::Planes;

/// Elements of a block.
pub const BLOCK: usize = 32;

const LOW: Planes = Planes { bits: 4, width: 16 };
const FIFTH: Planes = Planes { bits: 1, width: 1 };

/// One of the four.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Bits of an element: 4 or 5.
    pub bits: u32,
    /// Whether blocks have a minimum.
    pub has_minimum: bool,
}

/// Four bits around zero.
pub const Q4_0: Layout = layout(4, false);
/// Four bits above a minimum.
pub const Q4_1: Layout = layout(4, true);
/// Five bits around zero.
pub const Q5_0: Layout = layout(5, false);
/// Five bits above a minimum.
pub const Q5_1: Layout = layout(5, true);

const fn layout(bits: u32, has_minimum: bool) -> Layout {
    Layout { bits, has_minimum }
}

impl Layout {
    /// Bytes of a block.
    pub const fn block_bytes(self) -> usize {
        self.low_at() + BLOCK / 2
    }

    /// Where in a block the fifth bits are, if there are any.
    pub const fn fifth_at(self) -> usize {
        if self.has_minimum { 4 } else { 2 }
    }

    /// Where the lower four bits are.
    pub const fn low_at(self) -> usize {
        self.fifth_at() + if self.bits == 5 { 4 } else { 0 }
    }

    /// The scale of a block.
    pub fn scale(self, block: &[u8]) -> f32 {
        half_at(block, 0)
    }

    /// What is added to every element.
    pub fn minimum(self, block: &[u8]) -> f32 {
        if self.has_minimum {
            half_at(block, 2)
        } else {
            0.0
        }
    }

    /// One element without scale and minimum.
    #[inline(always)]
    pub fn quant(self, block: &[u8], index: usize) -> i8 {
        let low = LOW.get(&block[self.low_at()..], index);
        let bits = if self.bits == 5 {
            low | FIFTH.get(&block[self.fifth_at()..], index) << 4
        } else {
            low
        };
        bits.cast_signed() - self.middle() as i8
    }

    /// What is taken off an element: half the range where there is no minimum.
    fn middle(self) -> i32 {
        if self.has_minimum {
            0
        } else {
            1 << (self.bits - 1)
        }
    }

    /// Decodes whole blocks. Compiled for each format by itself.
    #[inline(always)]
    pub fn decode(self, bytes: &[u8], out: &mut [f32]) {
        let blocks = bytes.chunks_exact(self.block_bytes());
        for (block, out) in blocks.zip(out.chunks_exact_mut(BLOCK)) {
            let (scale, minimum) = (self.scale(block), self.minimum(block));
            for (index, out) in out.iter_mut().enumerate() {
                let product = f32::from(self.quant(block, index)) * scale;
                *out = if self.has_minimum {
                    product + minimum
                } else {
                    product
                };
            }
        }
    }

    /// Encodes a row of whole blocks. Compiled for each format by itself.
    #[inline(always)]
    pub fn encode(self, row: &[f32], quantiser: &Quantiser, out: &mut Vec<u8>) {
        let author = quantiser.author;
        let (blocks, rest) = row.as_chunks::<BLOCK>();
        assert!(rest.is_empty(), "whole blocks of 32");
        let variance = match quantiser.importance {
            Some(_) => squares(author, row) / row.len() as f32,
            None => 0.0,
        };
        for (index, block) in blocks.iter().enumerate() {
            let encoded = match quantiser.importance {
                Some(all) => {
                    let mut weights = [0.0; BLOCK];
                    author::weights(author, variance, block, &all[index * BLOCK..], &mut weights);
                    self.searched(author, block, &weights)
                }
                None => self.encode_block(block),
            };
            self.put(author, encoded, out);
        }
    }

    /// The value of largest magnitude becomes the lowest code, or, above a minimum, the smallest
    /// value 0 and the largest the highest code.
    #[inline(always)]
    fn encode_block(self, block: &[f32; BLOCK]) -> Encoded {
        let (scale, minimum) = self.scale_and_minimum(block);
        let code = |scaled: f32| {
            let code = truncate(scaled);
            if self.bits == 5 && self.has_minimum {
                code as u8
            } else {
                i32::from(code as i8).min(self.limit()) as u8
            }
        };
        Encoded {
            scale,
            minimum,
            codes: self.scaled(block).map(code),
        }
    }

    /// What codes are cut from, half a step above the element.
    #[inline(always)]
    pub fn scaled(self, block: &[f32; BLOCK]) -> [f32; BLOCK] {
        let (scale, minimum) = self.scale_and_minimum(block);
        let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        let middle = self.middle() as f32 + 0.5;
        if self.has_minimum {
            block.map(|x| (x - minimum) * inverse + middle)
        } else {
            block.map(|x| x * inverse + middle)
        }
    }

    #[inline(always)]
    fn scale_and_minimum(self, block: &[f32; BLOCK]) -> (f32, f32) {
        if !self.has_minimum {
            return (first_largest(block) / -self.middle() as f32, 0.0);
        }
        let (mut minimum, mut maximum) = (f32::MAX, -f32::MAX);
        for &x in block {
            if x < minimum {
                minimum = x;
            }
            if x > maximum {
                maximum = x;
            }
        }
        ((maximum - minimum) / self.limit() as f32, minimum)
    }

    fn searched(self, author: Author, block: &[f32; BLOCK], weights: &[f32; BLOCK]) -> Encoded {
        let mut codes = [0; BLOCK];
        if !self.has_minimum {
            let limit = self.middle();
            let scale = fit::symmetric(author, limit, block, |i| weights[i], &mut codes);
            return Encoded {
                scale,
                minimum: 0.0,
                codes,
            };
        }
        let search = Search::with_importance(author, self.limit());
        let (scale, offset) = fit::offset(author, search, block, weights, &mut codes);
        Encoded {
            scale,
            minimum: -offset,
            codes,
        }
    }

    fn limit(self) -> i32 {
        (1 << self.bits) - 1
    }

    #[inline(always)]
    fn put(self, author: Author, encoded: Encoded, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + self.block_bytes(), 0);
        let block = &mut out[start..];
        block[..2].copy_from_slice(&author.half(encoded.scale));
        if self.has_minimum {
            block[2..4].copy_from_slice(&author.half(encoded.minimum));
        }
        LOW.put_all(&mut block[self.low_at()..], encoded.codes);
        if self.bits == 5 {
            let fifth = encoded.codes.map(|code| code >> 4);
            FIFTH.put_all(&mut block[self.fifth_at()..], fifth);
        }
    }
}

/// A block before it is packed.
struct Encoded {
    scale: f32,
    minimum: f32,
    codes: [u8; BLOCK],
}

fn half_at(block: &[u8], at: usize) -> f32 {
    half::f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(layout: Layout, values: &[f32; BLOCK]) -> Vec<u8> {
        let mut out = Vec::new();
        layout.encode(values, &Quantiser::default(), &mut out);
        out
    }

    #[test]
    fn a_block_of_q4_0_by_hand() {
        let mut values = [0.0; BLOCK];
        (values[0], values[1], values[17]) = (-8.0, 7.0, 1.0);
        let bytes = encoded(Q4_0, &values);
        // The scale is 1: codes 0, 15 and 9.
        assert_eq!(bytes[..4], [0x00, 0x3c, 0x80, 0x9f]);
        let mut back = [0.0; BLOCK];
        Q4_0.decode(&bytes, &mut back);
        assert_eq!(back, values);
        assert_eq!(encoded(Q4_0, &[0.0; BLOCK])[..3], [0x00, 0x80, 0x88]);
    }

    #[test]
    fn a_block_of_q5_1_by_hand() {
        let values: [f32; BLOCK] = std::array::from_fn(|i| i as f32 - 3.0);
        let bytes = encoded(Q5_1, &values);
        // Scale 1, minimum −3, fifth bits of the elements from 16 on, codes that count up.
        assert_eq!(bytes[..8], [0x00, 0x3c, 0x00, 0xc2, 0, 0, 0xff, 0xff]);
        assert_eq!(bytes[8..10], [0x00, 0x11]);
        let mut back = [0.0; BLOCK];
        Q5_1.decode(&bytes, &mut back);
        assert_eq!(back, values);
    }

    #[test]
    fn sizes_are_those_of_the_formats() {
        let sizes = [Q4_0, Q4_1, Q5_0, Q5_1].map(Layout::block_bytes);
        assert_eq!(sizes, [18, 20, 22, 24]);
    }

    #[test]
    fn importance_moves_the_error_to_the_columns_that_matter_less() {
        let values: [f32; BLOCK] = std::array::from_fn(|i| ((i * 37 % 31) as f32 - 15.3) / 7.0);
        let off = |importance: &[f32; BLOCK]| {
            let quantiser = Quantiser {
                importance: Some(importance),
                ..Quantiser::default()
            };
            let (mut bytes, mut back) = (Vec::new(), [0.0; BLOCK]);
            Q4_0.encode(&values, &quantiser, &mut bytes);
            Q4_0.decode(&bytes, &mut back);
            let first = values[..4].iter().zip(&back[..4]);
            first.map(|(x, y)| (x - y).powi(2)).sum::<f32>()
        };
        let mut first = [1e-3; BLOCK];
        first[..4].fill(1e3);
        assert!(off(&first) < off(&[1.0; BLOCK]));
    }
}
