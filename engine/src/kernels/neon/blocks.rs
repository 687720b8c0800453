//! Rows in blocks with dot products, in the order of aarch64 builds: see
//! [`whole_blocks`](crate::kernels::whole_blocks), whose bits these are. The integers of a block
//! are exact in any order.

use std::arch::aarch64::*;

use super::{dot, load, load_codes};
use crate::encoding::{q6_k, q8_0};
use crate::flavor::{tq1_0, tq2_0};
use crate::kernels::gemm::RowByRow;
use crate::kernels::q8_0::Q8Block;
use crate::kernels::q8_k::Q8K;
use crate::kernels::whole_blocks::{self, Lanes};

pub static TQ1_0: RowByRow<Q8K> = RowByRow {
    name: "aarch64-dotprod-tq1_0-whole_blocks",
    // SAFETY: `Neon` hands products out where there are dot products.
    dot: |row, activations, _| unsafe { tq1_0_dot(row, activations) },
};

pub static TQ2_0: RowByRow<Q8K> = RowByRow {
    name: "aarch64-dotprod-tq2_0-whole_blocks",
    // SAFETY: as for `TQ1_0`.
    dot: |row, activations, _| unsafe { tq2_0_dot(row, activations) },
};

pub static Q6_K: RowByRow<Q8K> = RowByRow {
    name: "aarch64-dotprod-q6_k-whole_blocks",
    // SAFETY: as for `TQ1_0`.
    dot: |row, activations, _| unsafe { q6_k_dot(row, activations) },
};

pub static Q8_0: RowByRow<Q8Block> = RowByRow {
    name: "aarch64-dotprod-q8_0-whole_blocks",
    // SAFETY: as for `TQ1_0`.
    dot: |row, activations, tokens| unsafe { q8_0_dot(row, activations, tokens) },
};

#[target_feature(enable = "neon,dotprod")]
fn tq2_0_dot(row: &[u8], activations: &[Q8K]) -> f32 {
    let mut sum = 0f32;
    let blocks = row.as_chunks::<{ tq2_0::BLOCK_BYTES }>().0;
    for (block, activation) in blocks.iter().zip(activations) {
        let values = activation.values.as_chunks::<16>().0;
        let mut sums = vdupq_n_s32(0);
        for (part, bytes) in block[..tq2_0::SCALE_AT]
            .as_chunks::<16>()
            .0
            .iter()
            .enumerate()
        {
            // Two parts make the bytes of 128 elements, four planes of them.
            let first = part / 2 * 8 + part % 2;
            let mut codes = load_codes(bytes);
            for plane in 0..4 {
                let digits = vandq_u8(codes, vdupq_n_u8(3));
                sums = dot(sums, less_one(digits), load(&values[first + 2 * plane]));
                codes = vshrq_n_u8::<2>(codes);
            }
        }
        sum = added(sum, tq2_0::scale(block) * activation.scale, sums);
    }
    sum
}

#[target_feature(enable = "neon,dotprod")]
fn tq1_0_dot(row: &[u8], activations: &[Q8K]) -> f32 {
    let mut sum = 0f32;
    let blocks = row.as_chunks::<{ tq1_0::BLOCK_BYTES }>().0;
    for (block, activation) in blocks.iter().zip(activations) {
        let values = activation.values.as_chunks::<16>().0;
        let mut sums = vdupq_n_s32(0);
        // 32 bytes of five digits, 16 of five, four of four: 16 bytes at a time.
        let parts = block[..48].as_chunks::<16>().0;
        for (part, (first, step)) in parts.iter().zip([(0, 2), (1, 2), (10, 1)]) {
            let mut fractions = load_codes(part);
            for n in 0..5 {
                let digits = first_digits(fractions);
                sums = dot(sums, less_one(digits), load(&values[first + step * n]));
                fractions = times_three(fractions);
            }
        }
        let four: [u8; 4] = *block[48..].first_chunk().expect("four bytes");
        let powers = [1u8, 3, 9, 27];
        let last: [u8; 16] = std::array::from_fn(|i| four[i % 4].wrapping_mul(powers[i / 4]));
        let digits = first_digits(load_codes(&last));
        sums = dot(sums, less_one(digits), load(&values[15]));
        sum = added(sum, tq1_0::scale(block) * activation.scale, sums);
    }
    sum
}

#[target_feature(enable = "neon,dotprod")]
fn q6_k_dot(row: &[u8], activations: &[Q8K]) -> f32 {
    let mut sum = 0f32;
    let blocks = row.as_chunks::<{ q6_k::BLOCK_BYTES }>().0;
    for (block, activation) in blocks.iter().zip(activations) {
        let values = activation.values.as_chunks::<16>().0;
        let mut sums = vdupq_n_s32(0);
        let low = block[..q6_k::HIGH_AT].as_chunks::<16>().0;
        let high = block[q6_k::HIGH_AT..q6_k::SCALES_AT].as_chunks::<16>().0;
        for group in 0..16 {
            // Four planes of 32 elements in each half.
            let (half, plane, part) = (group / 8, group / 2 % 4, group % 2);
            let nibbles = load_codes(&low[4 * half + 2 * (plane % 2) + part]);
            let nibbles = if plane < 2 {
                vandq_u8(nibbles, vdupq_n_u8(15))
            } else {
                vshrq_n_u8::<4>(nibbles)
            };
            let pairs = load_codes(&high[2 * half + part]);
            let pairs = vshlq_u8(pairs, vdupq_n_s8(-2 * plane as i8));
            let pairs = vshlq_n_u8::<4>(vandq_u8(pairs, vdupq_n_u8(3)));
            let quants = vreinterpretq_s8_u8(vorrq_u8(nibbles, pairs));
            let quants = vsubq_s8(quants, vdupq_n_s8(32));
            let products = dot(vdupq_n_s32(0), quants, load(&values[group]));
            let scale = i32::from(q6_k::group_scale(block, 16 * group));
            sums = vmlaq_n_s32(sums, products, scale);
        }
        sum = added(sum, q6_k::scale(block) * activation.scale, sums);
    }
    sum
}

#[target_feature(enable = "neon,dotprod")]
fn q8_0_dot(row: &[u8], activations: &[Q8Block], tokens: usize) -> f32 {
    whole_blocks::q8_0_dot_with(row, activations, tokens, |block, activation| {
        lanes(block, activation)
    })
}

/// Sums of four neighbours, then of the next four, in four lanes.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn lanes(block: &[u8; q8_0::BLOCK_BYTES], activation: &Q8Block) -> Lanes {
    let mut sums = vdupq_n_s32(0);
    let quants = block[2..].as_chunks::<16>().0;
    for (quants, values) in quants.iter().zip(activation.values.as_chunks().0) {
        sums = dot(sums, vreinterpretq_s8_u8(load_codes(quants)), load(values));
    }
    let mut lanes = Lanes::default();
    // SAFETY: the array has room for four lanes.
    unsafe { vst1q_s32(lanes.as_mut_ptr(), sums) };
    lanes
}

/// A block fused into the sum.
#[inline]
#[target_feature(enable = "neon")]
fn added(sum: f32, scale: f32, integers: int32x4_t) -> f32 {
    scale.mul_add(vaddvq_s32(integers) as f32, sum)
}

/// −1 to 2 from 0 to 3.
#[inline]
#[target_feature(enable = "neon")]
fn less_one(digits: uint8x16_t) -> int8x16_t {
    vsubq_s8(vreinterpretq_s8_u8(digits), vdupq_n_s8(1))
}

/// Every byte times three, modulo 256.
#[inline]
#[target_feature(enable = "neon")]
fn times_three(bytes: uint8x16_t) -> uint8x16_t {
    vaddq_u8(bytes, vaddq_u8(bytes, bytes))
}

/// The integer part of 3/256 of every byte: 1 from 86 on, 2 from 171 on.
#[inline]
#[target_feature(enable = "neon")]
fn first_digits(fractions: uint8x16_t) -> uint8x16_t {
    let one = vdupq_n_u8(1);
    let from_86 = vandq_u8(vcgeq_u8(fractions, vdupq_n_u8(86)), one);
    let from_171 = vandq_u8(vcgeq_u8(fractions, vdupq_n_u8(171)), one);
    vaddq_u8(from_86, from_171)
}
