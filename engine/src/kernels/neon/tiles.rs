//! Rows in blocks of 256 with products of matrices, in the order of aarch64 builds: two rows with
//! up to eight tokens, whose sums lie side by side. A token alone is a row of dot products.

use std::arch::aarch64::*;

use super::blocks::{self, Quants, q6_k_quants, tq1_0_digits, tq2_0_digits};
use super::{four, halves, load, two_by_two};
use crate::encoding::q6_k;
use crate::flavor::{tq1_0, tq2_0};
use crate::kernels::gemm::{Form, Gemm, Inputs, RowByRow, Stored, Tile};
use crate::kernels::q8_k::Q8K;
use crate::pool::Band;

/// Pairs of tokens of a tile.
const PAIRS: usize = 4;

/// A product; handed out by [`super::Neon`] alone.
pub struct Tiles {
    name: &'static str,
    /// A row with a token.
    alone: &'static RowByRow<Q8K>,
    /// Two rows with pairs of tokens: for every pair the first row with both, then the second.
    together: fn(rows: [&[u8]; 2], tokens: &Tokens) -> [[f32; 4]; PAIRS],
}

/// Tokens of a tile, by pairs; those that are too many are the last one again.
type Tokens<'a> = [[&'a [Q8K]; 2]; PAIRS];

pub static TQ1_0: Tiles = Tiles {
    name: "aarch64-i8mm-tq1_0-whole_blocks",
    alone: &blocks::TQ1_0.whole,
    // SAFETY: `Neon` hands products out where their instructions are.
    together: |rows, tokens| unsafe { tq1_0_tile(rows, tokens) },
};

pub static TQ2_0: Tiles = Tiles {
    name: "aarch64-i8mm-tq2_0-whole_blocks",
    alone: &blocks::TQ2_0.whole,
    // SAFETY: as for `TQ1_0`.
    together: |rows, tokens| unsafe { tq2_0_tile(rows, tokens) },
};

pub static Q6_K: Tiles = Tiles {
    name: "aarch64-i8mm-q6_k-whole_blocks",
    alone: &blocks::Q6_K.whole,
    // SAFETY: as for `TQ1_0`.
    together: |rows, tokens| unsafe { q6_k_tile(rows, tokens) },
};

impl Gemm for Tiles {
    fn name(&self) -> &'static str {
        self.name
    }

    fn form(&self) -> Form {
        Form::Q8K
    }

    fn tile(&self, tokens: usize) -> Tile {
        Tile {
            rows: 4,
            tokens: tokens.clamp(1, 2 * PAIRS),
        }
    }

    fn multiply(&self, weights: &Stored, inputs: &Inputs, band: &mut Band) {
        if inputs.tokens < 2 {
            return self.alone.multiply(weights, inputs, band);
        }
        let blocks = inputs.q8_k.len() / inputs.tokens;
        let stride = weights.bytes.len() / weights.shape.rows;
        let rows = band.rows();
        let stored = &weights.bytes[rows.start * stride..rows.end * stride];
        let height = rows.len();
        for row in (0..height).step_by(2) {
            let pair = [row, (row + 1).min(height - 1)];
            let packed = pair.map(|row| &stored[row * stride..][..stride]);
            for first in (0..inputs.tokens).step_by(2 * PAIRS) {
                let tokens: Tokens = std::array::from_fn(|pair| {
                    [0, 1].map(|which| {
                        let token = (first + 2 * pair + which).min(inputs.tokens - 1);
                        &inputs.q8_k[token * blocks..][..blocks]
                    })
                });
                let sums = (self.together)(packed, &tokens);
                for token in first..inputs.tokens.min(first + 2 * PAIRS) {
                    let (pair, which) = ((token - first) / 2, (token - first) % 2);
                    let out = &mut band.token(token)[row..height.min(row + 2)];
                    for (r, out) in out.iter_mut().enumerate() {
                        *out = sums[pair][2 * r + which];
                    }
                }
            }
        }
    }
}

#[target_feature(enable = "neon,i8mm")]
fn tq1_0_tile(rows: [&[u8]; 2], tokens: &Tokens) -> [[f32; 4]; PAIRS] {
    let integers = |blocks: [&_; 2], tokens: [&_; 2 * PAIRS]| {
        trits(blocks.map(|block| tq1_0_digits(block)), tokens)
    };
    tile(rows, tokens, integers, tq1_0::scale)
}

#[target_feature(enable = "neon,i8mm")]
fn tq2_0_tile(rows: [&[u8]; 2], tokens: &Tokens) -> [[f32; 4]; PAIRS] {
    let integers = |blocks: [&_; 2], tokens: [&_; 2 * PAIRS]| {
        trits(blocks.map(|block| tq2_0_digits(block)), tokens)
    };
    tile(rows, tokens, integers, tq2_0::scale)
}

#[target_feature(enable = "neon,i8mm")]
fn q6_k_tile(rows: [&[u8]; 2], tokens: &Tokens) -> [[f32; 4]; PAIRS] {
    let integers = |blocks: [&_; 2], tokens: [&_; 2 * PAIRS]| in_groups(blocks, tokens);
    tile(rows, tokens, integers, q6_k::scale)
}

/// Block after block, fused into the sums.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn tile<const BYTES: usize>(
    rows: [&[u8]; 2],
    tokens: &Tokens,
    integers: impl Fn([&[u8; BYTES]; 2], [&Q8K; 2 * PAIRS]) -> [int32x4_t; PAIRS],
    scale: impl Fn(&[u8; BYTES]) -> f32,
) -> [[f32; 4]; PAIRS] {
    let rows = rows.map(|row| row.as_chunks::<BYTES>().0);
    let mut sums = [[0.0; 4]; PAIRS];
    for block in 0..rows[0].len() {
        let packed = rows.map(|row| &row[block]);
        let activations = std::array::from_fn(|t| &tokens[t / 2][t % 2][block]);
        let integers = integers(packed, activations);
        let scales = packed.map(&scale);
        for (pair, (sums, integers)) in sums.iter_mut().zip(integers).enumerate() {
            let whole = four(integers);
            for (at, sum) in sums.iter_mut().enumerate() {
                let scale = scales[at / 2] * activations[2 * pair + at % 2].scale;
                *sum = scale.mul_add(whole[at] as f32, *sum);
            }
        }
    }
    sums
}

/// Digits from 0 on meet the activations, which are then taken off once.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn trits(digits: [Quants; 2], tokens: [&Q8K; 2 * PAIRS]) -> [int32x4_t; PAIRS] {
    let [first, second] = digits;
    let mut sums = [vdupq_n_s32(0); PAIRS];
    for (group, rows) in first.into_iter().zip(second).enumerate() {
        let rows = halves(rows.0, rows.1);
        for (pair, sum) in sums.iter_mut().enumerate() {
            *sum = products(*sum, rows, values(&tokens, pair, group));
        }
    }
    for (pair, sum) in sums.iter_mut().enumerate() {
        let totals = [0, 1].map(|which| {
            let sums = tokens[2 * pair + which].sums.iter();
            sums.map(|&sum| i32::from(sum)).sum::<i32>()
        });
        let totals = [totals[0], totals[1], totals[0], totals[1]];
        // SAFETY: the array has four values.
        *sum = vsubq_s32(*sum, unsafe { vld1q_s32(totals.as_ptr()) });
    }
    sums
}

/// Every group of 16 has a scale of its own in either row.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn in_groups(
    blocks: [&[u8; q6_k::BLOCK_BYTES]; 2],
    tokens: [&Q8K; 2 * PAIRS],
) -> [int32x4_t; PAIRS] {
    let [first, second] = blocks.map(|block| q6_k_quants(block));
    let mut sums = [vdupq_n_s32(0); PAIRS];
    for (group, rows) in first.into_iter().zip(second).enumerate() {
        let rows = halves(rows.0, rows.1);
        let scales = blocks.map(|block| i32::from(q6_k::group_scale(block, 16 * group)));
        let scales = [scales[0], scales[0], scales[1], scales[1]];
        // SAFETY: the array has four values.
        let scales = unsafe { vld1q_s32(scales.as_ptr()) };
        for (pair, sum) in sums.iter_mut().enumerate() {
            let group = products(vdupq_n_s32(0), rows, values(&tokens, pair, group));
            *sum = vmlaq_s32(*sum, group, scales);
        }
    }
    sums
}

/// 16 values of a pair of tokens.
#[inline]
#[target_feature(enable = "neon")]
fn values(tokens: &[&Q8K; 2 * PAIRS], pair: usize, group: usize) -> [int8x16_t; 2] {
    let of = |token: usize| load(&tokens[token].values.as_chunks().0[group]);
    halves(of(2 * pair), of(2 * pair + 1))
}

/// 16 products of either row with either token, added to their sums.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn products(sums: int32x4_t, rows: [int8x16_t; 2], tokens: [int8x16_t; 2]) -> int32x4_t {
    two_by_two(two_by_two(sums, rows[0], tokens[0]), rows[1], tokens[1])
}
