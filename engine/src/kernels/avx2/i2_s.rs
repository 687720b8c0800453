//! I2_S with AVX2: rows where they lie, several rows and tokens to a tile.

use std::arch::x86_64::*;

use super::{AHEAD, load_codes, load_values};
use crate::flavor::i2_s_p128::{BLOCK, BLOCK_BYTES};
use crate::kernels::gemm::{Form, Gemm, Inputs, Stored, Tile};
use crate::kernels::ternary::{Rows, finish};
use crate::pool::Band;

/// Handed out by [`super::Avx2`] alone.
pub(super) struct I2s(());

pub(super) static I2_S: I2s = I2s(());

/// Blocks between two widenings to 32 bits. One block adds to a 16-bit lane four planes of two
/// products, each at most 3 · 128: 3072 a block, 24576 in eight, so no lane wraps.
const BLOCKS_BETWEEN_WIDENINGS: usize = 8;

/// A single token meets four rows at a time, which hides the latency of memory; several tokens
/// meet two rows, which share the unpacking.
const ROWS_OF_ONE: usize = 4;
const ROWS_OF_MANY: usize = 2;
const TOKENS: usize = 4;

impl Gemm for I2s {
    fn name(&self) -> &'static str {
        "x86_64-avx2-i2_s"
    }

    fn form(&self) -> Form {
        Form::Int8
    }

    fn tile(&self, tokens: usize) -> Tile {
        if tokens < TOKENS {
            return Tile {
                rows: ROWS_OF_ONE,
                tokens: 1,
            };
        }
        Tile {
            rows: 2 * ROWS_OF_ONE,
            tokens: TOKENS,
        }
    }

    fn multiply(&self, weights: &Stored, inputs: &Inputs, band: &mut Band) {
        let rows = Rows::of(weights, inputs, band);
        let (height, tokens) = (band.rows().len(), inputs.tokens);
        let tiled = tokens / TOKENS * TOKENS;
        let mut row = 0;
        while row < height {
            if height - row >= ROWS_OF_MANY {
                for token in (0..tiled).step_by(TOKENS) {
                    tile::<ROWS_OF_MANY, TOKENS>(&rows, row, token, band);
                }
            }
            let first = if height - row >= ROWS_OF_MANY {
                tiled
            } else {
                0
            };
            let step = match height - row {
                ROWS_OF_ONE.. if tiled == 0 => ROWS_OF_ONE,
                ROWS_OF_MANY.. => ROWS_OF_MANY,
                _ => 1,
            };
            for token in first..tokens {
                match step {
                    ROWS_OF_ONE => tile::<ROWS_OF_ONE, 1>(&rows, row, token, band),
                    ROWS_OF_MANY => tile::<ROWS_OF_MANY, 1>(&rows, row, token, band),
                    _ => tile::<1, 1>(&rows, row, token, band),
                }
            }
            row += step;
        }
    }
}

fn tile<const R: usize, const T: usize>(rows: &Rows, row: usize, token: usize, band: &mut Band) {
    let packed = std::array::from_fn(|r| rows.row(row + r));
    let values = std::array::from_fn(|t| rows.token(token + t));
    // SAFETY: an `I2s` is handed out only by `Avx2`, which exists only where there is AVX2.
    let dots = unsafe { dots::<R, T>(packed, values) };
    for (t, dots) in dots.into_iter().enumerate() {
        let activation = rows.activation(token + t);
        for (out, dot) in band.token(token + t)[row..row + R].iter_mut().zip(dots) {
            *out = finish(dot, activation, rows.scale);
        }
    }
}

/// Sums of code times activation, for every token those of all rows.
#[target_feature(enable = "avx2")]
pub(super) fn dots<const R: usize, const T: usize>(
    packed: [&[u8]; R],
    values: [&[i8]; T],
) -> [[i32; R]; T] {
    let blocks = packed.map(|row| row.as_chunks::<BLOCK_BYTES>().0);
    let values = values.map(|token| token.as_chunks::<BLOCK>().0);
    let count = blocks[0].len();
    assert!(
        blocks.iter().all(|row| row.len() == count),
        "rows of one length"
    );
    assert!(
        values.iter().all(|token| token.len() == count),
        "tokens of that length"
    );
    let two_bits = _mm256_set1_epi8(3);
    let ones = _mm256_set1_epi16(1);
    let mut wide = [[_mm256_setzero_si256(); R]; T];
    for start in (0..count).step_by(BLOCKS_BETWEEN_WIDENINGS) {
        let end = count.min(start + BLOCKS_BETWEEN_WIDENINGS);
        let mut narrow = [[_mm256_setzero_si256(); R]; T];
        for block in start..end {
            if T == 1 {
                for row in blocks {
                    let ahead = row
                        .as_ptr()
                        .cast::<i8>()
                        .wrapping_add(block * BLOCK_BYTES + AHEAD);
                    _mm_prefetch::<_MM_HINT_T1>(ahead);
                }
            }
            let mut codes = blocks.map(|row| load_codes(&row[block]));
            // The last plane of a byte is its lowest.
            for plane in (0..4).rev() {
                let digits = codes.map(|codes| _mm256_and_si256(codes, two_bits));
                for (narrow, token) in narrow.iter_mut().zip(values) {
                    let values = &token[block].as_chunks::<BLOCK_BYTES>().0[plane];
                    let values = load_values(values);
                    for (narrow, digits) in narrow.iter_mut().zip(digits) {
                        let products = _mm256_maddubs_epi16(digits, values);
                        *narrow = _mm256_add_epi16(*narrow, products);
                    }
                }
                codes = codes.map(|codes| _mm256_srli_epi16::<2>(codes));
            }
        }
        for (wide, narrow) in wide.iter_mut().zip(narrow) {
            for (wide, narrow) in wide.iter_mut().zip(narrow) {
                *wide = _mm256_add_epi32(*wide, _mm256_madd_epi16(narrow, ones));
            }
        }
    }
    wide.map(|token| token.map(|lanes| horizontal_sum(lanes)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn horizontal_sum(lanes: __m256i) -> i32 {
    let quad = _mm_add_epi32(
        _mm256_castsi256_si128(lanes),
        _mm256_extracti128_si256::<1>(lanes),
    );
    let pair = _mm_add_epi32(quad, _mm_unpackhi_epi64(quad, quad));
    let one = _mm_add_epi32(pair, _mm_shuffle_epi32::<1>(pair));
    _mm_cvtsi128_si32(one)
}
