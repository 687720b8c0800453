//! Two bits an element under one f16 scale a block, the largest magnitude: upstream's Q2_0 with 64
//! elements, PrismML's PQ2_0 and OxiBonsai's TQ2_0_g128 with 128.
//!
//! Four neighbours share a byte, the first in the lowest bits. The scale is in front of the codes,
//! in OxiBonsai's blocks behind them. Codes 0 to 2 mean −1 to +1; code 3, which no quantiser
//! writes, means +2, and 0 to OxiBonsai.
#![forbid(unsafe_code)]

use super::author::{Quantiser, truncate};
use super::planes::Planes;

const CODES: Planes = Planes { bits: 2, width: 1 };

/// One of the three.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Elements of a block.
    pub block: usize,
    /// Whether the scale is behind the codes, and halves and less count as nothing by comparison
    /// instead of by rounding.
    oxibonsai: bool,
}

/// Upstream's.
pub const Q2_0: Layout = layout(64, false);
/// PrismML's.
pub const PQ2_0: Layout = layout(128, false);
/// OxiBonsai's.
pub const TQ2_0_G128: Layout = layout(128, true);

const fn layout(block: usize, oxibonsai: bool) -> Layout {
    Layout { block, oxibonsai }
}

impl Layout {
    /// Bytes of a block.
    pub const fn block_bytes(self) -> usize {
        2 + self.block / 4
    }

    const fn codes_at(self) -> usize {
        if self.oxibonsai { 0 } else { 2 }
    }

    const fn scale_at(self) -> usize {
        if self.oxibonsai { self.block / 4 } else { 0 }
    }

    /// The scale of a block.
    pub fn scale(self, block: &[u8]) -> f32 {
        let at = self.scale_at();
        half::f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
    }

    /// One element without its scale, −1 to 2.
    pub fn quant(self, block: &[u8], index: usize) -> i8 {
        match CODES.get(&block[self.codes_at()..], index) {
            3 if self.oxibonsai => 0,
            code => code.cast_signed() - 1,
        }
    }

    /// Decodes whole blocks.
    pub fn decode(self, bytes: &[u8], out: &mut [f32]) {
        let blocks = bytes.chunks_exact(self.block_bytes());
        for (block, out) in blocks.zip(out.chunks_exact_mut(self.block)) {
            for (index, out) in out.iter_mut().enumerate() {
                *out = f32::from(self.quant(block, index)) * self.scale(block);
            }
        }
    }

    /// Encodes a row of whole blocks. Importance changes nothing: there is one choice.
    pub fn encode(self, row: &[f32], quantiser: &Quantiser, out: &mut Vec<u8>) {
        assert!(row.len().is_multiple_of(self.block), "whole blocks");
        for values in row.chunks_exact(self.block) {
            let larger = |max: f32, x: &f32| if x.abs() > max { x.abs() } else { max };
            let scale = values.iter().fold(0.0, larger);
            let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
            let rounded =
                |x: f32| truncate((x * inverse).round()).wrapping_add(1).clamp(0, 3) as u8;
            let threshold = 0.5 * scale;
            let compared = |x: f32| match x {
                x if scale > 0.0 && x >= threshold => 2,
                x if scale > 0.0 && x <= -threshold => 0,
                _ => 1,
            };
            let mut block = vec![0; self.block_bytes()];
            let scale = quantiser.author.half(scale);
            block[self.scale_at()..][..2].copy_from_slice(&scale);
            let codes = values.iter();
            let codes: Vec<u8> = if self.oxibonsai {
                codes.map(|&x| compared(x)).collect()
            } else {
                codes.map(|&x| rounded(x)).collect()
            };
            CODES.put_all(&mut block[self.codes_at()..], codes);
            out.extend(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(layout: Layout, values: &[f32]) -> Vec<u8> {
        let mut bytes = Vec::new();
        layout.encode(values, &Quantiser::default(), &mut bytes);
        bytes
    }

    #[test]
    fn a_block_by_hand() {
        let mut values = [0.0; 64];
        (values[0], values[1], values[2], values[4]) = (-2.0, 1.0, 0.9, 2.0);
        let bytes = encoded(Q2_0, &values);
        // The scale is 2; one half is a tie and goes away from zero.
        assert_eq!(bytes[..4], [0x00, 0x40, 0b01_01_10_00, 0b01_01_01_10]);
        let mut back = [0.0; 64];
        Q2_0.decode(&bytes, &mut back);
        assert_eq!(back[..5], [-2.0, 2.0, 0.0, 0.0, 2.0]);
    }

    #[test]
    fn a_block_of_zeros_holds_zeros() {
        for layout in [Q2_0, PQ2_0, TQ2_0_G128] {
            for zero in [0.0, -0.0] {
                let values = vec![zero; layout.block];
                let bytes = encoded(layout, &values);
                let codes = &bytes[layout.codes_at()..][..layout.block / 4];
                assert!(codes.iter().all(|&four| four == 0b01_01_01_01), "{bytes:?}");
                let mut back = vec![1.0; layout.block];
                layout.decode(&bytes, &mut back);
                assert!(back.iter().all(|&x| x == 0.0), "{back:?}");
            }
        }
    }

    #[test]
    fn the_same_codes_lie_behind_the_scale_or_before_it() {
        let values: [f32; 128] = std::array::from_fn(|i| ((i * 5 % 7 % 3) as f32 - 1.0) * 0.25);
        let (prism, oxibonsai) = (encoded(PQ2_0, &values), encoded(TQ2_0_G128, &values));
        assert_eq!([prism.len(), oxibonsai.len()], [34, 34]);
        assert_eq!(prism[2..], oxibonsai[..32]);
        assert_eq!(prism[..2], oxibonsai[32..]);
        for (layout, bytes) in [(PQ2_0, prism), (TQ2_0_G128, oxibonsai)] {
            let mut back = [0.0; 128];
            layout.decode(&bytes, &mut back);
            assert_eq!(back, values);
        }
    }

    #[test]
    fn code_3_is_two_to_one_and_nothing_to_the_other() {
        let block = [0xff, 0x3c, 0xff];
        assert_eq!(PQ2_0.quant(&block, 0), 2);
        assert_eq!(TQ2_0_G128.quant(&block, 0), 0);
        assert_eq!(
            encoded(TQ2_0_G128, &[0.0; 128])[..2],
            [0x55, 0x55],
            "zeros, by their codes"
        );
    }
}
