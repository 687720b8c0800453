//! OxiBonsai's own bits in upstream's blocks of Q4_K, Q5_K and Q6_K, as its versions up to 0.2 lay
//! them: everything side by side in the order of the elements, where upstream has planes.
//!
//! Q4_K and Q5_K: f16 scale and f16 minimum; eight scales and eight minima of six bits, lower
//! halves in four bytes each, upper halves in two; a bit an element for Q5_K; a nibble an element.
//! Q6_K: nibbles, two bits an element, 16 signed scales, an f16 scale.
#![forbid(unsafe_code)]

use super::author::Quantiser;
use super::planes::Planes;

/// Elements of a block.
pub const BLOCK: usize = 256;
/// Elements under one of the eight scales of Q4_K and Q5_K.
const GROUP: usize = 32;

const BITS: Planes = Planes { bits: 1, width: 1 };
const PAIRS: Planes = Planes { bits: 2, width: 1 };
const NIBBLES: Planes = Planes { bits: 4, width: 1 };

fn half_at(block: &[u8], at: usize) -> f32 {
    half::f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// Q4_K, or Q5_K with a fifth bit.
#[derive(Debug, Clone, Copy)]
pub struct Asymmetric {
    fifth: bool,
}

/// Four bits.
pub const Q4_K: Asymmetric = Asymmetric { fifth: false };
/// Five.
pub const Q5_K: Asymmetric = Asymmetric { fifth: true };

impl Asymmetric {
    /// Bytes of a block.
    pub const fn block_bytes(self) -> usize {
        self.low_at() + BLOCK / 2
    }

    const fn low_at(self) -> usize {
        if self.fifth { 16 + BLOCK / 8 } else { 16 }
    }

    fn quant(self, block: &[u8], index: usize) -> u8 {
        let low = NIBBLES.get(&block[self.low_at()..], index);
        let fifth = if self.fifth {
            BITS.get(&block[16..], index)
        } else {
            0
        };
        low | fifth << 4
    }

    /// Decodes whole blocks.
    pub fn decode(self, bytes: &[u8], out: &mut [f32]) {
        let blocks = bytes.chunks_exact(self.block_bytes());
        for (block, out) in blocks.zip(out.as_chunks_mut::<BLOCK>().0) {
            let (scale, minimum) = (half_at(block, 0), half_at(block, 2));
            for (index, out) in out.iter_mut().enumerate() {
                let [s, m] = [0, 1].map(|of| f32::from(six_bits(block, of, index / GROUP)));
                *out = scale * s * f32::from(self.quant(block, index)) - minimum * m;
            }
        }
    }

    /// Encodes a row of whole blocks.
    pub fn encode(self, row: &[f32], quantiser: &Quantiser, out: &mut Vec<u8>) {
        let (blocks, rest) = row.as_chunks::<BLOCK>();
        assert!(rest.is_empty(), "whole blocks of 256");
        let most = if self.fifth { 31.0 } else { 15.0 };
        for values in blocks {
            let groups = values.as_chunks::<GROUP>().0;
            // Not a negation: of two zeros any may be the larger, and the larger is written.
            let minima = groups_of(groups, |group| {
                0.0 - group.iter().fold(0.0f32, |m, &x| m.min(x))
            });
            let tops = groups_of(groups, |group| {
                group.iter().fold(f32::MIN, |m, &x| m.max(x))
            });
            let ranges: [f32; 8] = std::array::from_fn(|g| (tops[g] + minima[g]).max(0.0) / most);
            let (scale, scales) = in_six_bits(&ranges);
            let (minimum, offsets) = in_six_bits(&minima);
            let mut block = vec![0; self.block_bytes()];
            block[..2].copy_from_slice(&quantiser.author.half(scale));
            block[2..4].copy_from_slice(&quantiser.author.half(minimum));
            for group in 0..8 {
                put_six_bits(&mut block, 0, group, scales[group]);
                put_six_bits(&mut block, 1, group, offsets[group]);
            }
            for (index, &x) in values.iter().enumerate() {
                let group = index / GROUP;
                let unit = scale * f32::from(scales[group]);
                let above = x + minimum * f32::from(offsets[group]);
                let q = (above * inverse(unit) + 0.5).clamp(0.0, most) as u8;
                NIBBLES.put(&mut block[self.low_at()..], index, q);
                if self.fifth {
                    BITS.put(&mut block[16..], index, q >> 4);
                }
            }
            out.extend(block);
        }
    }
}

/// Q6_K.
pub mod q6_k {
    use super::{BLOCK, NIBBLES, PAIRS, Quantiser, half_at, inverse};

    /// Bytes of a block.
    pub const BLOCK_BYTES: usize = 210;
    const GROUP: usize = 16;
    const HIGH_AT: usize = 128;
    const SCALES_AT: usize = 192;
    const SCALE_AT: usize = 208;

    /// Decodes whole blocks.
    pub fn decode(bytes: &[u8], out: &mut [f32]) {
        let blocks = bytes.as_chunks::<BLOCK_BYTES>().0.iter();
        for (block, out) in blocks.zip(out.as_chunks_mut::<BLOCK>().0) {
            for (index, out) in out.iter_mut().enumerate() {
                let high = PAIRS.get(&block[HIGH_AT..], index) << 4;
                let q = (NIBBLES.get(block, index) | high).cast_signed() - 32;
                let scale = block[SCALES_AT + index / GROUP].cast_signed();
                *out = half_at(block, SCALE_AT) * f32::from(scale) * f32::from(q);
            }
        }
    }

    /// Encodes a row of whole blocks.
    pub fn encode(row: &[f32], quantiser: &Quantiser, out: &mut Vec<u8>) {
        let (blocks, rest) = row.as_chunks::<BLOCK>();
        assert!(rest.is_empty(), "whole blocks of 256");
        for values in blocks {
            let peak = |part: &[f32]| part.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
            let scale = peak(values) / (31.0 * 127.0);
            let mut block = [0; BLOCK_BYTES];
            for (group, part) in values.as_chunks::<GROUP>().0.iter().enumerate() {
                let own = (peak(part) / 31.0 * inverse(scale) + 0.5).min(127.0) as i8;
                block[SCALES_AT + group] = own.cast_unsigned();
                let inverse = inverse(scale * f32::from(own));
                for (index, x) in (group * GROUP..).zip(part) {
                    let q = (x * inverse).round().clamp(-32.0, 31.0) as i8;
                    let q = (q + 32).cast_unsigned();
                    NIBBLES.put(&mut block, index, q);
                    PAIRS.put(&mut block[HIGH_AT..], index, q >> 4);
                }
            }
            block[SCALE_AT..].copy_from_slice(&quantiser.author.half(scale));
            out.extend(block);
        }
    }
}

/// Q4_0 as its versions before 0.2 lay it: neighbours in a byte, where upstream has halves.
pub mod q4_0 {
    use super::{NIBBLES, Quantiser, half_at, inverse};

    /// Elements of a block.
    pub const BLOCK: usize = 32;
    /// Bytes of a block.
    pub const BLOCK_BYTES: usize = 18;

    /// Decodes whole blocks.
    pub fn decode(bytes: &[u8], out: &mut [f32]) {
        let blocks = bytes.as_chunks::<BLOCK_BYTES>().0.iter();
        for (block, out) in blocks.zip(out.as_chunks_mut::<BLOCK>().0) {
            for (index, out) in out.iter_mut().enumerate() {
                let q = NIBBLES.get(&block[2..], index).cast_signed() - 8;
                *out = half_at(block, 0) * f32::from(q);
            }
        }
    }

    /// Encodes a row of whole blocks.
    pub fn encode(row: &[f32], quantiser: &Quantiser, out: &mut Vec<u8>) {
        let (blocks, rest) = row.as_chunks::<BLOCK>();
        assert!(rest.is_empty(), "whole blocks of 32");
        for values in blocks {
            let peak = values.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
            let mut block = [0; BLOCK_BYTES];
            block[..2].copy_from_slice(&quantiser.author.half(peak / 7.0));
            let inverse = inverse(half_at(&block, 0));
            let code = |x: f32| (x * inverse + 8.5).clamp(0.0, 15.0) as u8;
            NIBBLES.put_all(&mut block[2..], values.map(code));
            out.extend(block);
        }
    }
}

fn inverse(x: f32) -> f32 {
    if x > 0.0 { 1.0 / x } else { 0.0 }
}

fn groups_of(groups: &[[f32; GROUP]], of: impl Fn(&[f32; GROUP]) -> f32) -> [f32; 8] {
    std::array::from_fn(|group| of(&groups[group]))
}

/// The unit under which the largest of eight is 63, and all of them in that unit.
fn in_six_bits(parts: &[f32; 8]) -> (f32, [u8; 8]) {
    let unit = parts.iter().fold(0.0f32, |most, &x| most.max(x)) / 63.0;
    (
        unit,
        parts.map(|x| (x * inverse(unit) + 0.5).min(63.0) as u8),
    )
}

/// Scale 0 or minimum 1 of a group: four bits in the first eight bytes, two in the last four.
fn six_bits(block: &[u8], of: usize, group: usize) -> u8 {
    let low = NIBBLES.get(&block[4 + 4 * of..], group);
    low | PAIRS.get(&block[12 + 2 * of..], group) << 4
}

fn put_six_bits(block: &mut [u8], of: usize, group: usize, value: u8) {
    NIBBLES.put(&mut block[4 + 4 * of..], group, value);
    PAIRS.put(&mut block[12 + 2 * of..], group, value >> 4);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(i: usize) -> f32 {
        ((i * 37 % 101) as f32 - 45.0) * 0.01 * (1.0 + (i / 32) as f32)
    }

    #[test]
    fn values_come_back_as_far_as_the_bits_go() {
        let values: [f32; BLOCK] = std::array::from_fn(wave);
        let off = |bytes: &[u8], decode: &dyn Fn(&[u8], &mut [f32])| {
            let mut back = [0.0; BLOCK];
            decode(bytes, &mut back);
            let lost: f32 = values
                .iter()
                .zip(back)
                .map(|(x, y)| (x - y) * (x - y))
                .sum();
            let all: f32 = values.iter().map(|x| x * x).sum();
            (lost / all).sqrt()
        };
        for (layout, size, most) in [(Q4_K, 144, 0.07), (Q5_K, 176, 0.035)] {
            let mut bytes = Vec::new();
            layout.encode(&values, &Quantiser::default(), &mut bytes);
            assert_eq!(bytes.len(), size);
            let lost = off(&bytes, &|bytes, out| layout.decode(bytes, out));
            assert!(lost < most, "{layout:?} {lost}");
        }
        let mut bytes = Vec::new();
        for block in values.as_chunks::<32>().0 {
            q4_0::encode(block, &Quantiser::default(), &mut bytes);
        }
        let lost = off(&bytes, &q4_0::decode);
        assert!(bytes.len() == 8 * 18 && lost < 0.1, "{lost}");
        bytes.clear();
        q6_k::encode(&values, &Quantiser::default(), &mut bytes);
        let lost = off(&bytes, &q6_k::decode);
        assert!(bytes.len() == 210 && lost < 0.02, "{lost}");
    }

    #[test]
    fn scales_and_minima_lie_where_its_writer_puts_them() {
        let mut block = [0; 144];
        put_six_bits(&mut block, 0, 1, 0b10_0110);
        put_six_bits(&mut block, 1, 6, 0b01_1001);
        assert_eq!(
            block[4..16],
            [0x60, 0, 0, 0, 0, 0, 0, 0x09, 0b10_00, 0, 0, 0b01_00_00]
        );
        assert_eq!(
            [six_bits(&block, 0, 1), six_bits(&block, 1, 6)],
            [0b10_0110, 0b01_1001]
        );
    }
}
