//! I2_S with AVX2: for few tokens rows where they lie, for many the panels of [`panel`].

use std::arch::x86_64::*;

use super::{AHEAD, load_codes, load_values};
use crate::flavor::i2_s_p128::{BLOCK, BLOCK_BYTES};
use crate::kernels::gemm::{Form, Gemm, Inputs, Stored, Tile};
use crate::kernels::ternary::{Rows, finish};
use crate::kernels::x86::dot::{Dot, Maddubs};
use crate::kernels::x86::panel;
use crate::pool::Band;

/// Handed out by [`super::Avx2`] alone.
pub(super) struct I2s(());

pub(super) static I2_S: I2s = I2s(());

/// Blocks between two widenings to 32 bits. One block adds to a 16-bit lane four planes of two
/// products, each at most 3 · 128: 3072 a block, 24576 in eight, so no lane wraps.
const BLOCKS_BETWEEN_WIDENINGS: usize = 8;

/// Rows that share the loads of a token.
const ROWS: usize = 4;
/// Fewest tokens that are worth the unpacking of a panel.
const PANELS_FROM: usize = 16;

/// Rows of a panel.
const PANEL: usize = panel::rows::<Maddubs>();

impl Gemm for I2s {
    fn name(&self) -> &'static str {
        "x86_64-avx2-i2_s"
    }

    fn form(&self) -> Form {
        Form::Int8
    }

    fn tile(&self, tokens: usize) -> Tile {
        if tokens < PANELS_FROM {
            Tile {
                rows: ROWS,
                tokens: 1,
            }
        } else {
            Tile {
                rows: PANEL,
                tokens: Maddubs::TOKENS,
            }
        }
    }

    fn multiply(&self, weights: &Stored, inputs: &Inputs, band: &mut Band) {
        let rows = Rows::of(weights, inputs, band);
        let height = band.rows().len();
        let paneled = match inputs.tokens {
            PANELS_FROM.. => height / PANEL * PANEL,
            _ => 0,
        };
        for row in (0..paneled).step_by(PANEL) {
            // SAFETY: an `I2s` is handed out only by `Avx2`, which exists only where there is
            // AVX2.
            unsafe { panels(&rows, row, inputs.tokens, band) };
        }
        let fours = paneled + (height - paneled) / ROWS * ROWS;
        for token in 0..inputs.tokens {
            for row in (paneled..fours).step_by(ROWS) {
                some::<ROWS>(&rows, row, token, band);
            }
            for row in fours..height {
                some::<1>(&rows, row, token, band);
            }
        }
    }
}

/// See [`panel::multiply`].
#[target_feature(enable = "avx2")]
fn panels(rows: &Rows, row: usize, tokens: usize, band: &mut Band) {
    // SAFETY: this function asks for the instructions.
    unsafe { panel::multiply::<Maddubs>(rows, row, tokens, band) }
}

fn some<const R: usize>(rows: &Rows, row: usize, token: usize, band: &mut Band) {
    let packed = std::array::from_fn(|r| rows.row(row + r));
    // SAFETY: see `multiply`.
    let dots = unsafe { dots::<R>(packed, rows.token(token)) };
    let activation = rows.activation(token);
    for (out, dot) in band.token(token)[row..row + R].iter_mut().zip(dots) {
        *out = finish(dot, activation, rows.scale);
    }
}

/// Sums of code times activation of some rows with one token.
#[target_feature(enable = "avx2")]
fn dots<const R: usize>(packed: [&[u8]; R], values: &[i8]) -> [i32; R] {
    let blocks = packed.map(|row| row.as_chunks::<BLOCK_BYTES>().0);
    let values = values.as_chunks::<BLOCK>().0;
    let count = values.len();
    assert!(
        blocks.iter().all(|row| row.len() == count),
        "rows of the activations' length"
    );
    let two_bits = _mm256_set1_epi8(3);
    let mut wide = [_mm256_setzero_si256(); R];
    for start in (0..count).step_by(BLOCKS_BETWEEN_WIDENINGS) {
        let end = count.min(start + BLOCKS_BETWEEN_WIDENINGS);
        let mut narrow = [_mm256_setzero_si256(); R];
        for block in start..end {
            for row in blocks {
                let ahead = row.as_ptr().cast::<i8>();
                let ahead = ahead.wrapping_add(block * BLOCK_BYTES + AHEAD);
                _mm_prefetch::<_MM_HINT_T1>(ahead);
            }
            let mut codes = [_mm256_setzero_si256(); R];
            for (codes, row) in codes.iter_mut().zip(blocks) {
                *codes = load_codes(&row[block]);
            }
            // The last plane of a byte is its lowest.
            for plane in values[block].as_chunks::<BLOCK_BYTES>().0.iter().rev() {
                let values = load_values(plane);
                for (narrow, codes) in narrow.iter_mut().zip(codes) {
                    let digits = _mm256_and_si256(codes, two_bits);
                    let products = _mm256_maddubs_epi16(digits, values);
                    *narrow = _mm256_add_epi16(*narrow, products);
                }
                for codes in &mut codes {
                    *codes = _mm256_srli_epi16::<2>(*codes);
                }
            }
        }
        for (wide, narrow) in wide.iter_mut().zip(narrow) {
            let widened = _mm256_madd_epi16(narrow, _mm256_set1_epi16(1));
            *wide = _mm256_add_epi32(*wide, widened);
        }
    }
    wide.map(|lanes| horizontal_sum(lanes))
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
