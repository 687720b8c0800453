//! The portable kernel: always compiled, always tested, never clever. The others must equal it.
#![forbid(unsafe_code)]

use super::lanes::{BlockSums, Lanes};
use super::q8_0::Q8Block;
use super::q8_k::Q8K;
use super::ternary::RowByRow;
use crate::encoding::{q6_k, q8_0};
use crate::flavor::i2_s_p128::{BLOCK, BLOCK_BYTES};
use crate::flavor::{tq1_0, tq2_0};

/// The product of I2_S.
pub static I2_S: RowByRow = RowByRow {
    name: "scalar-i2_s",
    dot: ternary_dot,
};

/// Sum of code times activation over one row in the I2_S P128 packing.
///
/// With |activation| ≤ 128 and codes up to 3 a byte adds at most 4 · 3 · 128 to its lane, which 21
/// blocks cannot overflow, and the sum stays below 2³¹ for up to 5.5 million columns, far beyond
/// any row: nothing wraps, and where additions are checked one by one this would take ten times as
/// long.
pub fn ternary_dot(packed: &[u8], activations: &[i8]) -> i32 {
    /// Whose sums fit into 16 bits.
    const BLOCKS: usize = 16;
    let blocks = packed.as_chunks::<BLOCK_BYTES>().0.chunks(BLOCKS);
    let activations = activations.as_chunks::<BLOCK>().0.chunks(BLOCKS);
    let mut sum = 0i32;
    for (blocks, activations) in blocks.zip(activations) {
        let mut lanes = [0i16; BLOCK_BYTES];
        for (bytes, values) in blocks.iter().zip(activations) {
            for (plane, values) in values.as_chunks::<BLOCK_BYTES>().0.iter().enumerate() {
                for ((lane, byte), &value) in lanes.iter_mut().zip(bytes).zip(values) {
                    let code = i16::from(byte >> (6 - 2 * plane) & 3);
                    *lane = lane.wrapping_add(code * i16::from(value));
                }
            }
        }
        for lane in lanes {
            sum = sum.wrapping_add(i32::from(lane));
        }
    }
    sum
}

/// Dot product of one TQ1_0 row with quantised activations.
pub fn tq1_0_dot(row: &[u8], activations: &[Q8K]) -> f32 {
    trits_dot(row, activations, tq1_0::trit, tq1_0::scale)
}

/// Dot product of one TQ2_0 row with quantised activations.
pub fn tq2_0_dot(row: &[u8], activations: &[Q8K]) -> f32 {
    trits_dot(row, activations, tq2_0::trit, tq2_0::scale)
}

/// Digits 0..2 meet the activations, then each lane gives back two sums of 16 activations: their
/// elements are others than the lane's, and only the total makes −1..+1 of the digits. A lane of
/// a block stays within 32 · 3 · 127 + 2 · 16 · 127.
fn trits_dot<const BYTES: usize>(
    row: &[u8],
    activations: &[Q8K],
    trit: impl Fn(&[u8; BYTES], usize) -> u8,
    scale: impl Fn(&[u8; BYTES]) -> f32,
) -> f32 {
    let mut lanes = Lanes::default();
    for (block, activation) in row.as_chunks().0.iter().zip(activations) {
        let mut sums = BlockSums::default();
        for (index, &value) in activation.values.iter().enumerate() {
            sums[Lanes::of(index)] += i32::from(trit(block, index)) * i32::from(value);
        }
        for (sum, pair) in sums.iter_mut().zip(activation.sums.as_chunks::<2>().0) {
            *sum -= i32::from(pair[0]) + i32::from(pair[1]);
        }
        lanes.add_rounded(activation.scale * scale(block), sums);
    }
    lanes.sum()
}

/// Dot product of one Q6_K row with quantised activations. A lane of a block stays within
/// 32 · 32 · 127 · 128.
pub fn q6_k_dot(row: &[u8], activations: &[Q8K]) -> f32 {
    let mut lanes = Lanes::default();
    for (block, activation) in row.as_chunks().0.iter().zip(activations) {
        let mut sums = BlockSums::default();
        for (index, &value) in activation.values.iter().enumerate() {
            let product = i32::from(q6_k::quant(block, index)) * i32::from(value);
            sums[Lanes::of(index)] += product * i32::from(q6_k::group_scale(block, index));
        }
        lanes.add_fused(activation.scale * q6_k::scale(block), sums);
    }
    lanes.sum()
}

/// Dot product of one Q8_0 row with quantised activations.
pub fn q8_0_dot(row: &[u8], activations: &[Q8Block]) -> f32 {
    let mut lanes = Lanes::default();
    for (block, activation) in row.as_chunks().0.iter().zip(activations) {
        let sums = q8_0_sums(block, activation);
        lanes.add_fused(q8_0::scale(block) * activation.scale, sums);
    }
    lanes.sum()
}

/// The integers of one block. A lane stays within 4 · 128 · 128.
///
/// The sign of a weight goes to the activation, as in the vector code, and −128 has no negative:
/// it stays. Only a NaN that hid the others from the scale leaves such an activation.
pub fn q8_0_sums(block: &[u8; q8_0::BLOCK_BYTES], activation: &Q8Block) -> BlockSums {
    let mut sums = BlockSums::default();
    for (index, &value) in activation.values.iter().enumerate() {
        let weight = q8_0::quant(block, index);
        let value = if weight < 0 {
            value.wrapping_neg()
        } else {
            value
        };
        sums[Lanes::of(index)] += i32::from(weight.unsigned_abs()) * i32::from(value);
    }
    sums
}
