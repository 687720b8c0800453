//! The product of 16 rows with many tokens: the codes are unpacked once, and then meet all tokens.
//!
//! A line of the panel holds four columns of 8 rows, twice. It is unpacked where the first level
//! of the cache keeps it, and no copy of the matrix is ever made.

use std::arch::x86_64::*;

use super::load_codes;
use crate::flavor::i2_s_p128::{BLOCK, BLOCK_BYTES};
use crate::kernels::ternary::{Rows, finish};
use crate::pool::Band;

/// Rows of a panel: two vectors of lanes.
pub const ROWS: usize = 2 * LANES;
/// Tokens that share the loads of a line.
pub const TOKENS: usize = 4;

const LANES: usize = 8;
/// Columns unpacked at a time.
const COLS: usize = 512;
/// Lines of that many columns.
const LINES: usize = COLS / 4;
/// Lines between two widenings to 32 bits. A line adds two products of at most 3 · 128 to a lane
/// of 16 bits: 24576 in 32 lines, so none wraps.
const BETWEEN_WIDENINGS: usize = 32;

/// Four columns of 8 rows, for both vectors of rows.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([[u8; 32]; 2]);

/// Computes the outputs of the rows from `row` on for all tokens.
///
/// Between two portions of columns the sums lie in the outputs, as the bits of integers.
#[target_feature(enable = "avx2")]
pub fn multiply(rows: &Rows, row: usize, tokens: usize, band: &mut Band) {
    let mut panel = [Line([[0; 32]; 2]); LINES];
    for start in (0..rows.cols()).step_by(COLS) {
        let cols = COLS.min(rows.cols() - start);
        let lines = &mut panel[..cols / 4];
        unpack(rows, row, start, lines);
        let part = Part {
            lines,
            start,
            row,
            last: start + cols == rows.cols(),
        };
        let mut token = 0;
        while token < tokens {
            token += match tokens - token {
                TOKENS.. => part.add::<TOKENS>(rows, token, band),
                2.. => part.add::<2>(rows, token, band),
                _ => part.add::<1>(rows, token, band),
            };
        }
    }
}

/// Some columns of the panel.
struct Part<'a> {
    lines: &'a [Line],
    start: usize,
    row: usize,
    last: bool,
}

impl Part<'_> {
    /// Adds these columns' products with `T` tokens to the sums; returns `T`.
    #[target_feature(enable = "avx2")]
    fn add<const T: usize>(&self, rows: &Rows, token: usize, band: &mut Band) -> usize {
        let values: [&[[i8; 4]]; T] = std::array::from_fn(|t| {
            let values = rows.token(token + t).as_chunks::<4>().0;
            &values[self.start / 4..][..self.lines.len()]
        });
        let mut wide = [[_mm256_setzero_si256(); 2]; T];
        for (group, lines) in self.lines.chunks(BETWEEN_WIDENINGS).enumerate() {
            let first = group * BETWEEN_WIDENINGS;
            let mut narrow = [[_mm256_setzero_si256(); 2]; T];
            for (i, line) in lines.iter().enumerate() {
                let codes = [load_codes(&line.0[0]), load_codes(&line.0[1])];
                for (narrow, values) in narrow.iter_mut().zip(values) {
                    let four = values[first + i].map(i8::cast_unsigned);
                    let four = _mm256_set1_epi32(i32::from_le_bytes(four));
                    for (narrow, codes) in narrow.iter_mut().zip(codes) {
                        let products = _mm256_maddubs_epi16(codes, four);
                        *narrow = _mm256_add_epi16(*narrow, products);
                    }
                }
            }
            let ones = _mm256_set1_epi16(1);
            for (wide, narrow) in wide
                .as_flattened_mut()
                .iter_mut()
                .zip(narrow.as_flattened())
            {
                *wide = _mm256_add_epi32(*wide, _mm256_madd_epi16(*narrow, ones));
            }
        }
        for (t, wide) in wide.iter().enumerate() {
            let mut sums = [0i32; ROWS];
            for (wide, sums) in wide.iter().zip(sums.as_chunks_mut::<LANES>().0) {
                // SAFETY: the array has room for a vector.
                unsafe { _mm256_storeu_si256(sums.as_mut_ptr().cast(), *wide) };
            }
            let activation = rows.activation(token + t);
            let out = &mut band.token(token + t)[self.row..self.row + ROWS];
            if self.start > 0 {
                for (sum, out) in sums.iter_mut().zip(&*out) {
                    *sum += out.to_bits().cast_signed();
                }
            }
            for (sum, out) in sums.into_iter().zip(out) {
                *out = if self.last {
                    finish(sum, activation, rows.scale)
                } else {
                    f32::from_bits(sum.cast_unsigned())
                };
            }
        }
        T
    }
}

/// Unpacks the columns from `start` on, as many as `lines` has room for: whole blocks.
#[target_feature(enable = "avx2")]
fn unpack(rows: &Rows, row: usize, start: usize, lines: &mut [Line]) {
    const WORDS: usize = BLOCK_BYTES / 4;
    let two_bits = _mm256_set1_epi8(3);
    for (block, lines) in lines.chunks_exact_mut(BLOCK / 4).enumerate() {
        let at = (start / BLOCK + block) * BLOCK_BYTES;
        for half in 0..2 {
            let mut words = [[[0u8; 4]; LANES]; WORDS];
            for lane in 0..LANES {
                let bytes = &rows.row(row + half * LANES + lane)[at..at + BLOCK_BYTES];
                for (words, four) in words.iter_mut().zip(bytes.as_chunks().0) {
                    words[lane] = *four;
                }
            }
            for (w, words) in words.iter().enumerate() {
                let bytes = words.as_flattened().first_chunk().expect("32 bytes");
                let mut codes = load_codes(bytes);
                // The last plane of a byte is its lowest.
                for plane in (0..4).rev() {
                    let line = &mut lines[plane * WORDS + w].0[half];
                    let digits = _mm256_and_si256(codes, two_bits);
                    // SAFETY: the array has room for 32 bytes.
                    unsafe { _mm256_storeu_si256(line.as_mut_ptr().cast(), digits) };
                    codes = _mm256_srli_epi16::<2>(codes);
                }
            }
        }
    }
}
