//! What the bytes of a tensor say about the packings they may be in. Every byte is looked at
//! once and none is sampled.
#![forbid(unsafe_code)]

use std::cell::Cell;

use super::{Shape, bitnet32_f16, i2_s};

/// Scales outside this range would be absurd for weights of any trained model.
const SANE_SCALES: std::ops::RangeInclusive<f32> = 1e-10..=1e6;

/// Facts that speak for a packing, and the one that rules it out.
#[derive(Clone)]
pub(super) struct Evidence {
    pub facts: Vec<String>,
    pub excluded: Option<String>,
}

/// I2_S: no code is ever 3, and a sane scale follows the codes.
pub(super) fn of_i2_s(bytes: &[u8], shape: Shape, threes: &Threes) -> Evidence {
    let codes = &bytes[..shape.rows * shape.cols / 4];
    let threes = threes.among(codes);
    let n = codes.len() * 4;
    if threes > 0 {
        return Evidence::against(format!(
            "{threes} of {n} two-bit codes are 3, which no writer of I2_S emits"
        ));
    }
    let none = format!("none of {n} two-bit codes is 3");
    let scale = i2_s::scale(bytes, shape);
    // The quantiser writes scale 0 for a matrix of zeros, which is code 1 everywhere.
    let empty = scale == 0.0 && codes.iter().all(|&byte| byte == 0b01_01_01_01);
    if empty {
        return Evidence::with(vec![none, "scale 0 for a matrix of zeros".into()]);
    }
    let at = codes.len();
    if SANE_SCALES.contains(&scale) {
        return Evidence::with(vec![none, format!("scale {scale:e} at byte {at}")]);
    }
    let (low, high) = (SANE_SCALES.start(), SANE_SCALES.end());
    Evidence {
        facts: vec![none],
        excluded: Some(format!(
            "the scale at byte {at} would be {scale:e}, not between {low:e} and {high:e}"
        )),
    }
}

/// TL1 and TL2: the one scale is sane. Any bytes can be their indices.
pub(super) fn of_scale(scale: f32) -> Evidence {
    if scale == 0.0 || SANE_SCALES.contains(&scale) {
        return Evidence::with(vec![format!("scale {scale:e} behind the indices")]);
    }
    Evidence::against(format!("the scale would be {scale:e}"))
}

/// BitNet32-F16: every block's scale is finite, not negative and not absurd.
pub(super) fn of_bitnet32_f16(bytes: &[u8], shape: Shape) -> Evidence {
    let blocks = shape.rows * shape.cols.div_ceil(bitnet32_f16::BLOCK);
    let blocks = bytes.chunks_exact(bitnet32_f16::BLOCK_BYTES).take(blocks);
    let mut largest = 0.0f32;
    for (index, block) in blocks.enumerate() {
        let scale = half::f16::from_le_bytes([block[8], block[9]]).to_f32();
        if !(scale == 0.0 || SANE_SCALES.contains(&scale)) {
            return Evidence::against(format!("the scale of block {index} would be {scale:e}"));
        }
        largest = largest.max(scale);
    }
    Evidence::with(vec![format!(
        "every f16 scale lies between 0 and {largest:e}"
    )])
}

/// QK256 has nothing that could be wrong: any bytes are codes.
pub(super) fn of_qk256(bytes: &[u8], threes: &Threes) -> Evidence {
    let (threes, n) = (threes.among(bytes), bytes.len() * 4);
    let mut facts = vec![format!("{threes} of {n} two-bit codes are 3")];
    if threes == 0 {
        facts.push("ternary codes with their scale missing would look the same".into());
    }
    Evidence::with(facts)
}

/// TQ1_0 and TQ2_0: the id names the packing, and every block's scale must be finite.
pub(super) fn of_f16_blocks(bytes: &[u8], block_bytes: usize, scale_at: usize) -> Evidence {
    let blocks = bytes.chunks_exact(block_bytes);
    let count = blocks.len();
    for (index, block) in blocks.enumerate() {
        let scale = half::f16::from_le_bytes([block[scale_at], block[scale_at + 1]]);
        if !scale.is_finite() {
            return Evidence::against(format!("the scale of block {index} is {scale}"));
        }
    }
    Evidence::with(vec![format!("all {count} block scales are finite")])
}

impl Evidence {
    pub(super) fn with(facts: Vec<String>) -> Self {
        Evidence {
            facts,
            excluded: None,
        }
    }

    pub(super) fn against(why: String) -> Self {
        Evidence {
            facts: Vec::new(),
            excluded: Some(why),
        }
    }
}

/// How many bit pairs of a tensor's first bytes are 3: of how many bytes that was counted last, and
/// the count. Several packings ask for the same ones.
#[derive(Default)]
pub(super) struct Threes(Cell<Option<(usize, u64)>>);

impl Threes {
    fn among(&self, first: &[u8]) -> u64 {
        match self.0.get() {
            Some((len, count)) if len == first.len() => count,
            _ => {
                let count = count_threes(first);
                self.0.set(Some((first.len(), count)));
                count
            }
        }
    }
}

/// How many of the bit pairs are 3.
fn count_threes(bytes: &[u8]) -> u64 {
    let (pages, rest) = bytes.as_chunks::<PAGE>();
    let counts = pages
        .iter()
        .filter(|page| has_threes(page))
        .map(|page| count(page));
    counts.sum::<u64>() + count(rest)
}

const PAGE: usize = 4096;

/// Looks for one before any is counted: good data has none, and looking is the faster.
fn has_threes(page: &[u8; PAGE]) -> bool {
    let words = page.as_chunks().0.iter().map(|w| u64::from_le_bytes(*w));
    words.fold(0, |seen, word| seen | threes_of(word)) != 0
}

fn count(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks();
    let words = words.iter().map(|w| u64::from_le_bytes(*w));
    let all = words.chain(rest.iter().map(|&byte| u64::from(byte)));
    all.map(|word| u64::from(threes_of(word).count_ones()))
        .sum()
}

/// A bit for each pair that is 3.
fn threes_of(word: u64) -> u64 {
    word & word >> 1 & 0x5555_5555_5555_5555
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threes_are_counted_and_not_neighbours_that_look_like_one() {
        // 0b01_10_01_10 has two adjacent ones across pairs and no pair of ones.
        assert_eq!(count_threes(&[0b0110_0110; 9]), 0);
        assert_eq!(count_threes(&[0b11_00_11_00; 9]), 18);
        assert_eq!(count_threes(&[0, 0, 0, 0, 0, 0, 0, 0, 0b11]), 1);
        let mut pages = vec![0b01_10_00_01; 3 * PAGE + 5];
        (
            pages[0],
            pages[PAGE - 1],
            pages[2 * PAGE],
            pages[3 * PAGE + 4],
        ) = (3, 3, 0xff, 0xc0);
        assert_eq!(count_threes(&pages), 7);
    }

    #[test]
    fn a_scale_of_zero_is_believed_only_of_a_matrix_of_zeros() {
        let shape = Shape { rows: 1, cols: 128 };
        let mut bytes = vec![0b01_01_01_01; 32];
        bytes.extend([0; 32]);
        assert!(
            of_i2_s(&bytes, shape, &Threes::default())
                .excluded
                .is_none()
        );
        bytes[0] = 0b10_01_01_01;
        assert!(
            of_i2_s(&bytes, shape, &Threes::default())
                .excluded
                .is_some()
        );
    }
}
