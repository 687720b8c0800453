//! The product of 32 rows with many tokens: the codes are unpacked once, a lane a row, and then
//! meet all tokens.
//!
//! A line of the panel holds four columns of 16 rows. It is unpacked where the first level of the
//! cache can keep it, and no copy of the matrix is ever made.

use std::arch::x86_64::*;

use crate::flavor::i2_s_p128::{BLOCK, BLOCK_BYTES};
use crate::kernels::ternary::Rows;
use crate::pool::Band;

/// Rows of a panel: two vectors of lanes.
pub const ROWS: usize = 2 * LANES;
/// Tokens that share the loads of a line.
pub const TOKENS: usize = 12;

const LANES: usize = 16;
/// Columns unpacked at a time, so that a panel takes half of the first level of the cache.
const COLS: usize = 512;
/// Lines of that many columns.
const LINES: usize = COLS / 4;

/// Four columns of 16 rows, for both vectors of rows.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([[u8; 64]; 2]);

/// Computes the outputs of the rows from `row` on for all tokens.
///
/// A lane adds up at most 3 · 128 times the columns, which stays below 2³¹ for 5.5 million.
/// Between two portions of columns the sums lie in the outputs, as the bits of integers.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub fn multiply(rows: &Rows, row: usize, tokens: usize, band: &mut Band) {
    let mut panel = [Line([[0; 64]; 2]); LINES];
    for start in (0..rows.cols()).step_by(COLS) {
        let cols = COLS.min(rows.cols() - start);
        let lines = &mut panel[..cols / 4];
        unpack(rows, row, start, lines);
        let part = Part {
            lines,
            start,
            row,
            first: start == 0,
            last: start + cols == rows.cols(),
        };
        let mut token = 0;
        while token < tokens {
            token += match tokens - token {
                TOKENS.. => part.add::<TOKENS>(rows, token, band),
                6.. => part.add::<6>(rows, token, band),
                4.. => part.add::<4>(rows, token, band),
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
    first: bool,
    last: bool,
}

impl Part<'_> {
    /// Adds these columns' products with `T` tokens to the sums; returns `T`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn add<const T: usize>(&self, rows: &Rows, token: usize, band: &mut Band) -> usize {
        let mut sums = [[_mm512_setzero_si512(); 2]; T];
        if !self.first {
            for (t, sums) in sums.iter_mut().enumerate() {
                let kept = &band.token(token + t)[self.row..self.row + ROWS];
                for (sum, kept) in sums.iter_mut().zip(kept.as_chunks::<LANES>().0) {
                    *sum = _mm512_castps_si512(load_16(kept));
                }
            }
        }
        let values: [&[[i8; 4]]; T] = std::array::from_fn(|t| {
            let values = rows.token(token + t).as_chunks::<4>().0;
            &values[self.start / 4..][..self.lines.len()]
        });
        for (i, line) in self.lines.iter().enumerate() {
            let lanes = [load_64(&line.0[0]), load_64(&line.0[1])];
            for (sums, values) in sums.iter_mut().zip(values) {
                let four = _mm512_set1_epi32(i32::from_le_bytes(values[i].map(i8::cast_unsigned)));
                for (sum, lanes) in sums.iter_mut().zip(lanes) {
                    *sum = _mm512_dpbusd_epi32(*sum, lanes, four);
                }
            }
        }
        for (t, sums) in sums.into_iter().enumerate() {
            let activation = rows.activation(token + t);
            let out = &mut band.token(token + t)[self.row..self.row + ROWS];
            for (sum, out) in sums.into_iter().zip(out.as_chunks_mut::<LANES>().0) {
                let value = if self.last {
                    // The operations of `ternary::finish`, 16 at a time.
                    let dot = _mm512_cvtepi32_ps(sum);
                    let taken = _mm512_sub_ps(dot, _mm512_set1_ps(activation.sum as f32));
                    let scaled = _mm512_div_ps(taken, _mm512_set1_ps(activation.scale));
                    _mm512_mul_ps(scaled, _mm512_set1_ps(rows.scale))
                } else {
                    _mm512_castsi512_ps(sum)
                };
                // SAFETY: the array has room for 16 floats.
                unsafe { _mm512_storeu_ps(out.as_mut_ptr(), value) };
            }
        }
        T
    }
}

/// Unpacks the columns from `start` on, as many as `lines` has room for: whole blocks.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn unpack(rows: &Rows, row: usize, start: usize, lines: &mut [Line]) {
    const WORDS: usize = BLOCK_BYTES / 4;
    let two_bits = _mm512_set1_epi8(3);
    for (block, lines) in lines.chunks_exact_mut(BLOCK / 4).enumerate() {
        let at = (start / BLOCK + block) * BLOCK_BYTES;
        for half in 0..2 {
            let mut words = [[0u32; LANES]; WORDS];
            for lane in 0..LANES {
                let bytes = &rows.row(row + half * LANES + lane)[at..at + BLOCK_BYTES];
                for (words, four) in words.iter_mut().zip(bytes.as_chunks().0) {
                    words[lane] = u32::from_le_bytes(*four);
                }
            }
            for (w, words) in words.iter().enumerate() {
                // SAFETY: the array has 16 words, and the load asks for no alignment.
                let mut codes = unsafe { _mm512_loadu_si512(words.as_ptr().cast()) };
                // The last plane of a byte is its lowest.
                for plane in (0..4).rev() {
                    let line = &mut lines[plane * WORDS + w].0[half];
                    let digits = _mm512_and_si512(codes, two_bits);
                    // SAFETY: the array has room for 64 bytes.
                    unsafe { _mm512_storeu_si512(line.as_mut_ptr().cast(), digits) };
                    codes = _mm512_srli_epi16::<2>(codes);
                }
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_64(line: &[u8; 64]) -> __m512i {
    // SAFETY: the reference vouches for 64 readable bytes, and the load asks for no alignment.
    unsafe { _mm512_loadu_si512(line.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_16(values: &[f32; LANES]) -> __m512 {
    // SAFETY: the reference vouches for 16 readable floats, and the load asks for no alignment.
    unsafe { _mm512_loadu_ps(values.as_ptr()) }
}
