//! Rows in blocks with dot products, in the order of x86 builds, eight lanes, and in that of
//! aarch64 builds, [whole blocks](crate::kernels::whole_blocks). The integers of a block are exact
//! in any order; which of them meet before they are floats is what sets the two apart.

use std::arch::aarch64::*;

use super::{dot, four, load, load_codes};
use crate::encoding::{q6_k, q8_0};
use crate::flavor::{tq1_0, tq2_0};
use crate::kernels::gemm::{Block, RowByRow};
use crate::kernels::lanes::{BlockSums, Lanes};
use crate::kernels::q8_0::Q8Block;
use crate::kernels::q8_k::Q8K;
use crate::kernels::{scalar, whole_blocks};

/// 16 neighbours at a time of a block of 256.
pub const GROUPS: usize = 16;
/// What is stored of such a block, before any scale.
pub type Quants = [int8x16_t; GROUPS];

/// A product for each order.
pub struct Both<X: Block> {
    pub lanes: RowByRow<X>,
    pub whole: RowByRow<X>,
}

pub static TQ1_0: Both<Q8K> = Both {
    lanes: RowByRow {
        name: "aarch64-dotprod-tq1_0",
        // SAFETY: `Neon` hands products out where there are dot products.
        dot: |row, activations, _| unsafe { tq1_0_lanes(row, activations) },
    },
    whole: RowByRow {
        name: "aarch64-dotprod-tq1_0-whole_blocks",
        // SAFETY: as for the lanes.
        dot: |row, activations, _| unsafe { tq1_0_whole(row, activations) },
    },
};

pub static TQ2_0: Both<Q8K> = Both {
    lanes: RowByRow {
        name: "aarch64-dotprod-tq2_0",
        // SAFETY: as for `TQ1_0`.
        dot: |row, activations, _| unsafe { tq2_0_lanes(row, activations) },
    },
    whole: RowByRow {
        name: "aarch64-dotprod-tq2_0-whole_blocks",
        // SAFETY: as for `TQ1_0`.
        dot: |row, activations, _| unsafe { tq2_0_whole(row, activations) },
    },
};

pub static Q6_K: Both<Q8K> = Both {
    lanes: RowByRow {
        name: "aarch64-dotprod-q6_k",
        // SAFETY: as for `TQ1_0`.
        dot: |row, activations, _| unsafe { q6_k_lanes(row, activations) },
    },
    whole: RowByRow {
        name: "aarch64-dotprod-q6_k-whole_blocks",
        // SAFETY: as for `TQ1_0`.
        dot: |row, activations, _| unsafe { q6_k_whole(row, activations) },
    },
};

pub static Q8_0: Both<Q8Block> = Both {
    lanes: RowByRow {
        name: "aarch64-dotprod-q8_0",
        // SAFETY: as for `TQ1_0`.
        dot: |row, activations, _| unsafe { q8_0_lanes(row, activations) },
    },
    whole: RowByRow {
        name: "aarch64-dotprod-q8_0-whole_blocks",
        // SAFETY: as for `TQ1_0`.
        dot: |row, activations, tokens| unsafe { q8_0_whole(row, activations, tokens) },
    },
};

#[target_feature(enable = "neon,dotprod")]
fn tq1_0_lanes(row: &[u8], activations: &[Q8K]) -> f32 {
    let sums = |block: &_, activation: &Q8K| trits(tq1_0_digits(block), activation);
    lanes(row, activations, sums, tq1_0::scale, Lanes::add_rounded)
}

#[target_feature(enable = "neon,dotprod")]
fn tq1_0_whole(row: &[u8], activations: &[Q8K]) -> f32 {
    let sums = |block: &_, activation: &Q8K| trits(tq1_0_digits(block), activation);
    whole(row, activations, sums, tq1_0::scale)
}

#[target_feature(enable = "neon,dotprod")]
fn tq2_0_lanes(row: &[u8], activations: &[Q8K]) -> f32 {
    let sums = |block: &_, activation: &Q8K| trits(tq2_0_digits(block), activation);
    lanes(row, activations, sums, tq2_0::scale, Lanes::add_rounded)
}

#[target_feature(enable = "neon,dotprod")]
fn tq2_0_whole(row: &[u8], activations: &[Q8K]) -> f32 {
    let sums = |block: &_, activation: &Q8K| trits(tq2_0_digits(block), activation);
    whole(row, activations, sums, tq2_0::scale)
}

#[target_feature(enable = "neon,dotprod")]
fn q6_k_lanes(row: &[u8], activations: &[Q8K]) -> f32 {
    let sums = |block: &_, activation: &Q8K| in_groups(block, activation);
    lanes(row, activations, sums, q6_k::scale, Lanes::add_fused)
}

#[target_feature(enable = "neon,dotprod")]
fn q6_k_whole(row: &[u8], activations: &[Q8K]) -> f32 {
    let sums = |block: &_, activation: &Q8K| in_groups(block, activation);
    whole(row, activations, sums, q6_k::scale)
}

/// Eight running sums.
#[inline]
#[target_feature(enable = "neon")]
fn lanes<const BYTES: usize>(
    row: &[u8],
    activations: &[Q8K],
    sums: impl Fn(&[u8; BYTES], &Q8K) -> [int32x4_t; 2],
    scale: impl Fn(&[u8; BYTES]) -> f32,
    add: fn(&mut Lanes, f32, BlockSums),
) -> f32 {
    let mut lanes = Lanes::default();
    for (block, activation) in row.as_chunks().0.iter().zip(activations) {
        let sums = stored(sums(block, activation));
        add(&mut lanes, activation.scale * scale(block), sums);
    }
    lanes.sum()
}

/// One, a block after the other fused into it.
#[inline]
#[target_feature(enable = "neon")]
fn whole<const BYTES: usize>(
    row: &[u8],
    activations: &[Q8K],
    sums: impl Fn(&[u8; BYTES], &Q8K) -> [int32x4_t; 2],
    scale: impl Fn(&[u8; BYTES]) -> f32,
) -> f32 {
    let mut sum = 0f32;
    for (block, activation) in row.as_chunks().0.iter().zip(activations) {
        let [first, second] = sums(block, activation);
        let integer = vaddvq_s32(vaddq_s32(first, second));
        sum = (scale(block) * activation.scale).mul_add(integer as f32, sum);
    }
    sum
}

/// Digits 0 to 2 meet the activations, and every lane gives back two sums of 16 of them, as on x86.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn trits(digits: Quants, activation: &Q8K) -> [int32x4_t; 2] {
    let mut sums = [vdupq_n_s32(0); 2];
    let values = activation.values.as_chunks().0;
    for (group, (digits, values)) in digits.into_iter().zip(values).enumerate() {
        sums[group % 2] = dot(sums[group % 2], digits, load(values));
    }
    let [first, second] = [&activation.sums[..8], &activation.sums[8..]].map(|sums| {
        // SAFETY: the slice has eight values.
        vpaddlq_s16(unsafe { vld1q_s16(sums.as_ptr()) })
    });
    [vsubq_s32(sums[0], first), vsubq_s32(sums[1], second)]
}

/// Every group of 16 has a scale of its own.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn in_groups(block: &[u8; q6_k::BLOCK_BYTES], activation: &Q8K) -> [int32x4_t; 2] {
    let mut sums = [vdupq_n_s32(0); 2];
    let values = activation.values.as_chunks().0;
    for (group, (quants, values)) in q6_k_quants(block).into_iter().zip(values).enumerate() {
        let products = dot(vdupq_n_s32(0), quants, load(values));
        let scale = i32::from(q6_k::group_scale(block, 16 * group));
        sums[group % 2] = vmlaq_n_s32(sums[group % 2], products, scale);
    }
    sums
}

/// 0 to 3 each.
#[inline]
#[target_feature(enable = "neon")]
pub fn tq2_0_digits(block: &[u8; tq2_0::BLOCK_BYTES]) -> Quants {
    let mut digits = [vdupq_n_s8(0); GROUPS];
    let parts = block[..tq2_0::SCALE_AT].as_chunks().0;
    for (part, bytes) in parts.iter().enumerate() {
        // Two parts make the bytes of 128 elements, four planes of them.
        let first = part / 2 * 8 + part % 2;
        let mut codes = load_codes(bytes);
        for plane in 0..4 {
            digits[first + 2 * plane] = vreinterpretq_s8_u8(vandq_u8(codes, vdupq_n_u8(3)));
            codes = vshrq_n_u8::<2>(codes);
        }
    }
    digits
}

/// 0 to 2 each.
#[inline]
#[target_feature(enable = "neon")]
pub fn tq1_0_digits(block: &[u8; tq1_0::BLOCK_BYTES]) -> Quants {
    let mut digits = [vdupq_n_s8(0); GROUPS];
    // 32 bytes of five digits, 16 of five, four of four: 16 bytes at a time.
    let parts = block[..48].as_chunks().0;
    for (part, (first, step)) in parts.iter().zip([(0, 2), (1, 2), (10, 1)]) {
        let mut fractions = load_codes(part);
        for n in 0..5 {
            digits[first + step * n] = vreinterpretq_s8_u8(first_digits(fractions));
            fractions = times_three(fractions);
        }
    }
    let four: [u8; 4] = *block[48..].first_chunk().expect("four bytes");
    let powers = [1u8, 3, 9, 27];
    let last: [u8; 16] = std::array::from_fn(|i| four[i % 4].wrapping_mul(powers[i / 4]));
    digits[15] = vreinterpretq_s8_u8(first_digits(load_codes(&last)));
    digits
}

/// -32 to 31 each.
#[inline]
#[target_feature(enable = "neon")]
pub fn q6_k_quants(block: &[u8; q6_k::BLOCK_BYTES]) -> Quants {
    let mut quants = [vdupq_n_s8(0); GROUPS];
    let low = block[..q6_k::HIGH_AT].as_chunks().0;
    let high = block[q6_k::HIGH_AT..q6_k::SCALES_AT].as_chunks().0;
    for (group, quants) in quants.iter_mut().enumerate() {
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
        let joined = vreinterpretq_s8_u8(vorrq_u8(nibbles, pairs));
        *quants = vsubq_s8(joined, vdupq_n_s8(32));
    }
    quants
}

#[target_feature(enable = "neon,dotprod")]
fn q8_0_lanes(row: &[u8], activations: &[Q8Block]) -> f32 {
    let mut lanes = Lanes::default();
    let blocks = row.as_chunks().0;
    for (block, activation) in blocks.iter().zip(activations) {
        // Where x86 takes the sign of an activation that has no negative, the plain loop does.
        let sums = if activation.values.contains(&i8::MIN) {
            scalar::q8_0_sums(block, activation)
        } else {
            stored(q8_0_products(block, activation))
        };
        lanes.add_fused(q8_0::scale(block) * activation.scale, sums);
    }
    lanes.sum()
}

#[target_feature(enable = "neon,dotprod")]
fn q8_0_whole(row: &[u8], activations: &[Q8Block], tokens: usize) -> f32 {
    whole_blocks::q8_0_dot_with(row, activations, tokens, |block, activation| {
        let [first, second] = q8_0_products(block, activation);
        four(vaddq_s32(first, second))
    })
}

/// Sums of four neighbours, of the first 16 and of the others.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn q8_0_products(block: &[u8; q8_0::BLOCK_BYTES], activation: &Q8Block) -> [int32x4_t; 2] {
    let quants = block[2..].as_chunks().0;
    let values = activation.values.as_chunks().0;
    [0, 1].map(|half| {
        let quants = vreinterpretq_s8_u8(load_codes(&quants[half]));
        dot(vdupq_n_s32(0), quants, load(&values[half]))
    })
}

/// All lanes of a block.
#[inline]
#[target_feature(enable = "neon")]
fn stored(sums: [int32x4_t; 2]) -> BlockSums {
    let halves = sums.map(|sums| four(sums));
    std::array::from_fn(|lane| halves[lane / 4][lane % 4])
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
