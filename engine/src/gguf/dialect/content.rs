//! What the bytes of a tensor say about who wrote them, where its size says nothing.
#![forbid(unsafe_code)]

use half::f16;

/// Scales outside of this range would be absurd for weights of any trained model.
const SANE: std::ops::RangeInclusive<f32> = 1e-10..=1e6;
/// A ternary block of 128 elements and a half.
const TERNARY: usize = 34;

pub(super) fn sane(x: f32) -> bool {
    x == 0.0 || SANE.contains(&x)
}

/// Whether the halves at byte `at` of every block can be scales: finite, not negative, of a size
/// that weights have.
pub(super) fn scales_at(blocks: &[u8], at: usize) -> bool {
    let mut blocks = blocks.chunks_exact(TERNARY);
    blocks.all(|block| {
        let scale = f16::from_le_bytes([block[at], block[at + 1]]);
        !scale.is_sign_negative() && sane(scale.to_f32())
    })
}

/// Whether every block of Q4_K or Q5_K has a largest scale of 63 among the first halves of the
/// pairs that OxiBonsai keeps in bytes 4 to 15: its writer scales so, and what upstream packs in
/// those bytes hits it by chance in one block of eight.
pub(super) fn scales_reach_63(blocks: &[u8], block_bytes: usize) -> bool {
    let mut blocks = blocks.chunks_exact(block_bytes);
    blocks.all(|block| {
        let packed = &block[4..16];
        let scale = |i: usize| {
            let low = packed[i / 2] >> (4 * (i % 2)) & 15;
            low | (packed[8 + i / 4] >> (2 * (i % 4)) & 3) << 4
        };
        let silent = f16::from_le_bytes([block[0], block[1]]) == f16::ZERO;
        silent || (0..8).any(|i| scale(i) == 63)
    })
}

/// Whether every block of Q6_K has scales that are not negative and reach 127, as OxiBonsai's
/// writer makes them; upstream's reach −128 instead.
pub(super) fn scales_reach_127(blocks: &[u8]) -> bool {
    let mut blocks = blocks.chunks_exact(210);
    blocks.all(|block| {
        let scales = &block[192..208];
        let silent = f16::from_le_bytes([block[208], block[209]]) == f16::ZERO;
        let signed = scales.iter().any(|&scale| scale > 127);
        silent || !signed && scales.contains(&127)
    })
}

/// The share of signs that are set in blocks of Q1_0.
pub(super) fn share_of_signs(blocks: &[u8]) -> f64 {
    let signs = blocks.chunks_exact(18).flat_map(|block| &block[2..]);
    let (set, bytes) = signs.fold((0u64, 0u64), |(set, bytes), byte| {
        (set + u64::from(byte.count_ones()), bytes + 1)
    });
    set as f64 / (8 * bytes).max(1) as f64
}

/// INT8 with a scale a row behind all rows, as OxiBonsai 0.1 wrote it under the name of F32 and
/// without its shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Channels {
    pub rows: u64,
    pub cols: u64,
}

impl Channels {
    /// The shape of bytes that make no sense as F32: as many rows as scales are behind them, where
    /// every row reaches ±127, as its writer makes them.
    pub fn of(bytes: &[u8]) -> Option<Channels> {
        /// Bytes of weights that look like one more scale, by chance.
        const MISTAKEN: usize = 4;
        let floats = bytes.as_chunks::<4>().0.iter();
        let floats = floats.map(|b| f32::from_le_bytes(*b));
        if bytes.is_empty() || floats.clone().all(|x| sane(x.abs())) {
            return None;
        }
        let most = scales_at_the_end(floats.rev()).min(bytes.len() / 5);
        let divides = |rows: &usize| bytes.len().is_multiple_of(*rows);
        let least = most.saturating_sub(MISTAKEN).max(1);
        let rows = (least..=most).rev().find(divides)?;
        let behind = bytes.len() - 4 * rows;
        let scales = bytes[behind..].as_chunks::<4>().0.iter();
        let mut all = bytes[..behind].chunks_exact(behind / rows).zip(scales);
        let fits = all.all(|(row, scale)| is_channel(row, f32::from_le_bytes(*scale)));
        fits.then(|| Channels {
            rows: rows as u64,
            cols: (behind / rows) as u64,
        })
    }
}

/// How many floats from the end on can be the scales of one matrix: of similar sizes.
fn scales_at_the_end(floats: impl Iterator<Item = f32>) -> usize {
    const APART: f32 = 4096.0;
    let (mut least, mut most) = (f32::MAX, 0.0f32);
    let similar = |&x: &f32| {
        if x != 0.0 {
            (least, most) = (least.min(x), most.max(x));
        }
        x.is_sign_positive() && sane(x) && most <= least * APART
    };
    floats.take_while(similar).count()
}

/// Whether a scale belongs to a row: the largest magnitude is 127, or everything is zero. −128 is
/// never written.
fn is_channel(row: &[u8], scale: f32) -> bool {
    let peak = row.iter().map(|q| q.cast_signed().unsigned_abs()).max();
    peak == Some(127) || peak == Some(0) && scale >= 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels(rows: usize, cols: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..rows * cols).map(|i| (i * 37 % 251) as u8).collect();
        for row in bytes.chunks_exact_mut(cols) {
            row.iter_mut()
                .for_each(|q| *q = if *q == 128 { 0 } else { *q });
            row[cols / 2] = 127;
        }
        bytes.extend((0..rows).flat_map(|row| (0.01 * (row + 1) as f32).to_le_bytes()));
        bytes
    }

    #[test]
    fn the_shape_of_int8_is_found_again() {
        for (rows, cols) in [(12, 128), (64, 64), (3, 300)] {
            let found = Channels::of(&channels(rows, cols));
            let (rows, cols) = (rows as u64, cols as u64);
            assert_eq!(found, Some(Channels { rows, cols }));
        }
    }

    #[test]
    fn floats_and_bytes_without_a_row_that_reaches_127_are_no_int8() {
        let norm: Vec<u8> = (0..64)
            .flat_map(|i| (1.0 + i as f32 / 7.0).to_le_bytes())
            .collect();
        assert_eq!(Channels::of(&norm), None);
        let mut weak = channels(12, 128);
        weak[5 * 128..6 * 128].fill(0x85);
        assert_eq!(Channels::of(&weak), None);
        assert_eq!(Channels::of(&[]), None);
    }

    #[test]
    fn halves_that_are_codes_are_no_scales() {
        let block = |scale_at: usize| {
            let mut block = [0b01_10_00_10u8; TERNARY];
            block[0] = 0b10_10_01_10;
            block[33] = 0b10_01_01_00;
            block[1] = 0b10_01_01_00;
            block[scale_at..scale_at + 2].copy_from_slice(&f16::from_f32(0.02).to_le_bytes());
            block
        };
        assert!(scales_at(&block(0), 0) && !scales_at(&block(0), 32));
        assert!(scales_at(&block(32), 32) && !scales_at(&block(32), 0));
    }
}
