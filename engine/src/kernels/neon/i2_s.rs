//! I2_S with dot products and with products of matrices: some rows where they lie with some tokens.
//!
//! A lane adds up at most 3 · 128 times the columns, which stays below 2³¹ for 5.5 million.

use std::arch::aarch64::*;

use super::{dot, four, halves, load, load_codes, two_by_two};
use crate::flavor::i2_s_p128::{BLOCK, BLOCK_BYTES};
use crate::kernels::gemm::{Form, Gemm, Inputs, Stored, Tile};
use crate::kernels::ternary::{Rows, finish};
use crate::pool::Band;

/// Rows and tokens of a tile.
const SIDE: usize = 4;

/// A product; handed out by [`super::Neon`] alone.
pub struct I2s {
    name: &'static str,
    /// Whether tiles are products of matrices.
    matrices: bool,
}

pub static DOT_PRODUCTS: I2s = I2s {
    name: "aarch64-dotprod-i2_s",
    matrices: false,
};

pub static MATRICES: I2s = I2s {
    name: "aarch64-i8mm-i2_s",
    matrices: true,
};

impl Gemm for I2s {
    fn name(&self) -> &'static str {
        self.name
    }

    fn form(&self) -> Form {
        Form::Int8
    }

    fn tile(&self, tokens: usize) -> Tile {
        Tile {
            rows: SIDE,
            tokens: tokens.clamp(1, SIDE),
        }
    }

    fn multiply(&self, weights: &Stored, inputs: &Inputs, band: &mut Band) {
        let rows = Rows::of(weights, inputs, band);
        let height = band.rows().len();
        for row in (0..height).step_by(SIDE) {
            // Rows and tokens beyond the last are the last one again.
            let packed = std::array::from_fn(|r| rows.row((row + r).min(height - 1)));
            for token in (0..inputs.tokens).step_by(SIDE) {
                let last = inputs.tokens - 1;
                let values: [&[i8]; SIDE] =
                    std::array::from_fn(|t| rows.token((token + t).min(last)));
                // SAFETY: `Neon` hands products out where their instructions are.
                let dots = unsafe {
                    if token == last {
                        [dots::<1>(packed, [values[0]])[0]; SIDE]
                    } else if self.matrices {
                        products(packed, values)
                    } else {
                        dots::<SIDE>(packed, values)
                    }
                };
                for (t, dots) in dots.iter().take(inputs.tokens - token).enumerate() {
                    let activation = rows.activation(token + t);
                    let out = &mut band.token(token + t)[row..height.min(row + SIDE)];
                    for (out, dot) in out.iter_mut().zip(dots) {
                        *out = finish(*dot, activation, rows.scale);
                    }
                }
            }
        }
    }
}

/// Sums of code times activation: for every token those of all rows.
#[target_feature(enable = "neon,dotprod")]
fn dots<const T: usize>(packed: [&[u8]; SIDE], values: [&[i8]; T]) -> [[i32; SIDE]; T] {
    let blocks = packed.map(|row| row.as_chunks::<BLOCK_BYTES>().0);
    let values = values.map(|values| values.as_chunks::<BLOCK>().0);
    let mut sums = [[vdupq_n_s32(0); SIDE]; T];
    for block in 0..blocks[0].len() {
        for half in 0..2 {
            let mut codes = [vdupq_n_u8(0); SIDE];
            for (codes, row) in codes.iter_mut().zip(blocks) {
                *codes = load_codes(&row[block].as_chunks().0[half]);
            }
            // The last plane of a byte is its lowest.
            for plane in (0..4).rev() {
                for (sums, values) in sums.iter_mut().zip(values) {
                    let values = load(&values[block].as_chunks().0[2 * plane + half]);
                    for (sum, codes) in sums.iter_mut().zip(codes) {
                        *sum = dot(*sum, digits(codes), values);
                    }
                }
                for codes in &mut codes {
                    *codes = vshrq_n_u8::<2>(*codes);
                }
            }
        }
    }
    let mut out = [[0; SIDE]; T];
    for (out, sums) in out.iter_mut().zip(sums) {
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = vaddvq_s32(sum);
        }
    }
    out
}

/// The same by products of two rows with two tokens.
#[target_feature(enable = "neon,i8mm")]
fn products(packed: [&[u8]; SIDE], values: [&[i8]; SIDE]) -> [[i32; SIDE]; SIDE] {
    let blocks = packed.map(|row| row.as_chunks::<BLOCK_BYTES>().0);
    let values = values.map(|values| values.as_chunks::<BLOCK>().0);
    let mut sums = [[vdupq_n_s32(0); 2]; 2];
    for block in 0..blocks[0].len() {
        for half in 0..2 {
            let mut codes = [vdupq_n_u8(0); SIDE];
            for (codes, row) in codes.iter_mut().zip(blocks) {
                *codes = load_codes(&row[block].as_chunks().0[half]);
            }
            for plane in (0..4).rev() {
                let (mut xs, mut ws) = ([vdupq_n_s8(0); SIDE], [vdupq_n_s8(0); SIDE]);
                for t in 0..SIDE {
                    xs[t] = load(&values[t][block].as_chunks().0[2 * plane + half]);
                    ws[t] = digits(codes[t]);
                    codes[t] = vshrq_n_u8::<2>(codes[t]);
                }
                let [xs, ws] =
                    [xs, ws].map(|four| [halves(four[0], four[1]), halves(four[2], four[3])]);
                for (sums, xs) in sums.iter_mut().zip(xs) {
                    for (sum, ws) in sums.iter_mut().zip(ws) {
                        *sum = two_by_two(two_by_two(*sum, xs[0], ws[0]), xs[1], ws[1]);
                    }
                }
            }
        }
    }
    let mut out = [[0; SIDE]; SIDE];
    for (tokens, sums) in sums.iter().enumerate() {
        for (rows, sum) in sums.iter().enumerate() {
            for (i, sum) in four(*sum).into_iter().enumerate() {
                out[2 * tokens + i / 2][2 * rows + i % 2] = sum;
            }
        }
    }
    out
}

/// The lowest two bits of every byte.
#[inline]
#[target_feature(enable = "neon")]
fn digits(codes: uint8x16_t) -> int8x16_t {
    vreinterpretq_s8_u8(vandq_u8(codes, vdupq_n_u8(3)))
}
