//! The product of I2_S rows with many tokens: the codes of some rows are unpacked once, a lane a
//! row, and then meet all tokens.
//!
//! A line of the panel holds four columns of as many rows as two vectors have lanes. Portions of
//! columns are unpacked where the caches near the core keep them, and no copy of the matrix is
//! ever made. Between two portions the sums lie in the outputs, as the bits of integers.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::dot::Dot;
use crate::flavor::i2_s_p128::{BLOCK, BLOCK_BYTES};
use crate::kernels::ternary::{Rows, finish};
use crate::pool::Band;

/// Columns unpacked at a time, at most: as many as the second level of the cache keeps beside the
/// activations, because a tile costs some time at its end (0.75 of the int8 peak with 512 columns,
/// 0.82 with 1024, 0.88 with 2560).
const COLS: usize = 2560;
/// Bytes of a line for the widest vectors.
const MOST: usize = 2 * 64;
/// Rows that are unpacked together: a line is made of such groups.
const GROUP: usize = 8;
/// Lines of a block of columns: a portion is whole blocks.
const LINES_A_BLOCK: usize = BLOCK / 4;
/// Bytes that a group has of a line.
const GROUP_BYTES: usize = 4 * GROUP;

/// Room for the lines of a portion.
#[repr(align(64))]
struct Lines([MaybeUninit<u8>; COLS / 4 * MOST]);

/// Rows of a panel.
pub const fn rows<D: Dot>() -> usize {
    2 * D::LANES
}

/// Computes the outputs of the rows from `row` on for all tokens.
///
/// # Safety
/// The instructions of `D` and AVX2 are there.
#[inline(always)]
pub unsafe fn multiply<D: Dot>(
    own: &Rows,
    row: usize,
    tokens: usize,
    band: &mut Band,
    unit: &mut impl Tiles,
) {
    let mut lines = Lines([MaybeUninit::uninit(); COLS / 4 * MOST]);
    let lines = lines.0.as_mut_ptr().cast::<u8>();
    let portions = own.cols().div_ceil(COLS).max(1);
    let portion = own.cols().div_ceil(portions).next_multiple_of(BLOCK);
    for start in (0..own.cols()).step_by(portion.max(BLOCK)) {
        let cols = portion.min(own.cols() - start);
        for group in (0..rows::<D>()).step_by(GROUP) {
            let packed = std::array::from_fn(|r| {
                let row = own.row(row + group + r);
                &row[start / 4..(start + cols) / 4]
            });
            // SAFETY: there is AVX2, and room for that many lines, of which every group writes
            // its own part.
            unsafe { unpack(packed, lines.wrapping_add(4 * group), 4 * rows::<D>()) };
        }
        let part = Part {
            own,
            lines,
            start,
            cols,
            row,
        };
        let mut token = 0;
        while token < tokens {
            // Tiles of about the same size: a small one at the end would wait for its sums.
            let left = tokens - token;
            // SAFETY: the lines of all columns were written.
            let tiled = unsafe { unit.add(&part, token, left, band) };
            if tiled > 0 {
                token += tiled;
                continue;
            }
            let size = left.div_ceil(left.div_ceil(D::TOKENS));
            // SAFETY: the instructions are there, and all lines were written.
            token += unsafe {
                match size {
                    12.. => part.add::<D, 12>(token, band),
                    10.. => part.add::<D, 10>(token, band),
                    8.. => part.add::<D, 8>(token, band),
                    6.. => part.add::<D, 6>(token, band),
                    4.. => part.add::<D, 4>(token, band),
                    2.. => part.add::<D, 2>(token, band),
                    _ => part.add::<D, 1>(token, band),
                }
            };
        }
    }
}

/// What computes some tokens of a panel's 32 rows by itself.
pub trait Tiles {
    /// Adds products with some of the tokens that are left; returns how many.
    ///
    /// # Safety
    /// The lines of all columns of the part are written.
    unsafe fn add(&mut self, part: &Part, token: usize, left: usize, band: &mut Band) -> usize;
}

/// Nothing does.
impl Tiles for () {
    #[inline(always)]
    unsafe fn add(&mut self, _: &Part, _: usize, _: usize, _: &mut Band) -> usize {
        0
    }
}

/// Some columns of a panel.
pub struct Part<'a> {
    own: &'a Rows<'a>,
    lines: *const u8,
    start: usize,
    cols: usize,
    row: usize,
}

impl Part<'_> {
    /// The panel's lines.
    pub fn lines(&self) -> *const u8 {
        self.lines
    }

    /// How many columns: whole blocks.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The values of some tokens for these columns, and how far apart tokens are.
    pub fn values(&self, token: usize, count: usize) -> (*const i8, usize) {
        let stride = self.own.cols();
        let values = &self.own.tokens(token, count)[self.start..];
        assert!(
            values.len() >= (count - 1) * stride + self.cols,
            "the columns of every token"
        );
        (values.as_ptr(), stride)
    }

    /// Keeps the sums of one token with some of the rows, from `first` of the panel's on.
    #[inline(always)]
    pub fn keep_some(&self, sums: &mut [i32], token: usize, first: usize, band: &mut Band) {
        let first = self.row + first;
        let out = &mut band.token(token)[first..first + sums.len()];
        // So many at a time are a vector.
        let both = sums.as_chunks_mut::<GROUP>().0.iter_mut();
        for (sums, out) in both.zip(out.as_chunks_mut::<GROUP>().0) {
            self.keep(sums, token, out);
        }
    }

    /// Adds these columns' products with `T` tokens to the sums; returns `T`.
    ///
    /// # Safety
    /// The instructions of `D` are there, and the lines of all columns.
    #[inline(always)]
    unsafe fn add<D: Dot, const T: usize>(&self, token: usize, band: &mut Band) -> usize {
        let (values, stride) = self.values(token, T);
        let mut sums = [[0i32; 32]; T];
        // SAFETY: lines and values are there for all columns, as the assertion says.
        unsafe { tile::<D, T>(self.lines, self.cols / 4, values, stride, &mut sums) };
        for (t, sums) in sums.iter_mut().enumerate() {
            self.keep_some(&mut sums[..rows::<D>()], token + t, 0, band);
        }
        T
    }

    /// Adds sums to those of the columns before, and makes outputs of the last ones.
    #[inline(always)]
    fn keep(&self, sums: &mut [i32; GROUP], token: usize, out: &mut [f32; GROUP]) {
        if self.start > 0 {
            for (sum, out) in sums.iter_mut().zip(&*out) {
                *sum += out.to_bits().cast_signed();
            }
        }
        if self.start + self.cols == self.own.cols() {
            let (activation, scale) = (self.own.activation(token), self.own.scale);
            *out = sums.map(|sum| finish(sum, activation, scale));
        } else {
            *out = sums.map(|sum| f32::from_bits(sum.cast_unsigned()));
        }
    }
}

/// Sums of all lines for `T` tokens, which lie `stride` apart.
///
/// # Safety
/// The instructions of `D` are there, `count` lines, and four bytes of each token for each.
#[inline(always)]
unsafe fn tile<D: Dot, const T: usize>(
    lines: *const u8,
    count: usize,
    values: *const i8,
    stride: usize,
    sums: &mut [[i32; 32]; T],
) {
    // SAFETY: as the caller says; the lanes of two vectors are at most 32.
    unsafe {
        let mut wide = [[D::zero(); 2]; T];
        for first in (0..count).step_by(LINES_A_BLOCK) {
            for t in T..2 * T {
                // What the next tile reads is on its way meanwhile.
                let ahead = values.wrapping_add(t * stride + 4 * first);
                _mm_prefetch::<_MM_HINT_T0>(ahead);
                _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(64));
            }
            let mut sums = wide;
            sums.as_flattened_mut()
                .iter_mut()
                .for_each(|sum| *sum = D::begin(*sum));
            for i in first..first + LINES_A_BLOCK {
                let at = lines.add(i * 8 * D::LANES);
                let codes = [D::load(at), D::load(at.add(4 * D::LANES))];
                for (t, sums) in sums.iter_mut().enumerate() {
                    let four = values.add(t * stride + 4 * i).cast::<i32>();
                    let four = D::same(four.read_unaligned());
                    sums[0] = D::add(sums[0], codes[0], four);
                    sums[1] = D::add(sums[1], codes[1], four);
                }
            }
            for (wide, sums) in wide.iter_mut().zip(sums) {
                wide[0] = D::widen(wide[0], sums[0]);
                wide[1] = D::widen(wide[1], sums[1]);
            }
        }
        for (sums, wide) in sums.iter_mut().zip(wide) {
            D::store(sums.as_mut_ptr(), wide[0]);
            D::store(sums.as_mut_ptr().add(D::LANES), wide[1]);
        }
    }
}

/// Writes the codes of eight rows into lines that are so many bytes apart.
///
/// # Safety
/// There is AVX2, and 32 bytes can be written in every line of the rows' columns.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn unpack(packed: [&[u8]; GROUP], lines: *mut u8, stride: usize) {
    const WORDS: usize = BLOCK_BYTES / 4;
    let blocks = packed.map(|row| row.as_chunks::<BLOCK_BYTES>().0);
    let two_bits = _mm256_set1_epi8(3);
    for block in 0..blocks[0].len() {
        let mut rows = [_mm256_setzero_si256(); GROUP];
        for (vector, row) in rows.iter_mut().zip(blocks) {
            let bytes = &row[block];
            // SAFETY: the reference vouches for 32 bytes; no alignment is asked for.
            *vector = unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) };
        }
        for (w, mut codes) in transposed(rows).into_iter().enumerate() {
            // The last plane of a byte is its lowest.
            for plane in (0..4).rev() {
                let line = block * BLOCK / 4 + plane * WORDS + w;
                // SAFETY: as the caller says.
                unsafe {
                    let to = lines.add(line * stride);
                    _mm256_storeu_si256(to.cast(), _mm256_and_si256(codes, two_bits));
                }
                codes = _mm256_srli_epi16::<2>(codes);
            }
        }
    }
    const { assert!(GROUP_BYTES == 32, "a vector of each line") };
}

/// The first words of eight rows, then the second ones, and so on.
#[inline]
#[target_feature(enable = "avx2")]
fn transposed(rows: [__m256i; 8]) -> [__m256i; 8] {
    let [a, b, c, d, e, f, g, h] = rows;
    let pairs = |a, b| [_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b)];
    let ([ab0, ab1], [cd0, cd1]) = (pairs(a, b), pairs(c, d));
    let ([ef0, ef1], [gh0, gh1]) = (pairs(e, f), pairs(g, h));
    let fours = |ab, cd| [_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd)];
    let ([low0, low1], [low2, low3]) = (fours(ab0, cd0), fours(ab1, cd1));
    let ([high0, high1], [high2, high3]) = (fours(ef0, gh0), fours(ef1, gh1));
    [
        _mm256_permute2x128_si256::<0x20>(low0, high0),
        _mm256_permute2x128_si256::<0x20>(low1, high1),
        _mm256_permute2x128_si256::<0x20>(low2, high2),
        _mm256_permute2x128_si256::<0x20>(low3, high3),
        _mm256_permute2x128_si256::<0x31>(low0, high0),
        _mm256_permute2x128_si256::<0x31>(low1, high1),
        _mm256_permute2x128_si256::<0x31>(low2, high2),
        _mm256_permute2x128_si256::<0x31>(low3, high3),
    ]
}
