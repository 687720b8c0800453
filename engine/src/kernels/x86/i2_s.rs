//! I2_S with 256-bit vectors: for few tokens rows where they lie, for many the panels of
//! [`panel`].

use std::arch::x86_64::*;
use std::ops::Range;

use super::dot::{Dot, Maddubs};
use super::{AHEAD, panel, products};
use crate::flavor::i2_s_p128::{BLOCK, BLOCK_BYTES};
use crate::kernels::gemm::{Form, Inputs, Stored, Tile};
use crate::kernels::ternary::{Rows, finish};
use crate::pool::Band;

/// Rows that share the loads of a token.
const ROWS: usize = 4;
/// Rows that stay in a cache near the core while all tokens meet them.
const ROWS_AT_ONCE: usize = 64;
/// Registers for so many tokens of a panel are registers for four of rows where they lie.
const MANY_REGISTERS: usize = 12;
/// Blocks between two widenings: four times the vectors of products are 40.
const BETWEEN_WIDENINGS: usize = 10;

products! {
    PRODUCTS: Form::Int8, tile, multiply,
    "x86_64-avx2-i2_s", "x86_64-avxvnni-i2_s", "x86_64-avx512vl-i2_s"
}

/// Fewest tokens that are worth the unpacking of a panel.
const fn panels_from<D: Dot>() -> usize {
    if D::TOKENS < MANY_REGISTERS { 16 } else { 48 }
}

fn tile<D: Dot>(tokens: usize) -> Tile {
    let (rows, tokens) = if tokens < panels_from::<D>() {
        (
            ROWS,
            tokens.clamp(1, if D::TOKENS < MANY_REGISTERS { 2 } else { 4 }),
        )
    } else {
        (panel::rows::<D>(), D::TOKENS)
    };
    Tile { rows, tokens }
}

/// Computes the outputs of a band.
///
/// # Safety
/// The instructions of `D` and AVX2 are there.
#[inline(always)]
unsafe fn multiply<D: Dot<Vector = __m256i>>(weights: &Stored, inputs: &Inputs, band: &mut Band) {
    let rows = Rows::of(weights, inputs, band);
    let height = band.rows().len();
    let panels = panel::rows::<D>();
    let paneled = if inputs.tokens < panels_from::<D>() {
        0
    } else {
        height / panels * panels
    };
    // SAFETY: the instructions are there.
    unsafe {
        for row in (0..paneled).step_by(panels) {
            panel::multiply::<D>(&rows, row, inputs.tokens, band, &mut ());
        }
        where_they_lie::<D>(&rows, paneled, band);
    }
}

/// The outputs of the rows from `first` on, which are unpacked for every few tokens.
///
/// # Safety
/// The instructions of `D` and AVX2 are there.
#[inline(always)]
pub unsafe fn where_they_lie<D: Dot<Vector = __m256i>>(rows: &Rows, first: usize, band: &mut Band) {
    let (height, tokens) = (band.rows().len(), band.tokens());
    for start in (first..height).step_by(ROWS_AT_ONCE) {
        let own = start..height.min(start + ROWS_AT_ONCE);
        let mut token = 0;
        while token < tokens {
            let own = own.clone();
            // SAFETY: the instructions are there.
            token += unsafe {
                match tokens - token {
                    4.. if D::TOKENS >= MANY_REGISTERS => {
                        some::<D, ROWS, 4>(rows, own, token, band)
                    }
                    2.. => some::<D, ROWS, 2>(rows, own, token, band),
                    // One row after the other, as they lie in memory, one core reads 10.9 GB/s,
                    // and four at a time 7.6; but where additions wait, rows have to take turns.
                    _ if D::WAITS => some::<D, ROWS, 1>(rows, own, token, band),
                    _ => one_after_the_other(rows, own, token, band),
                }
            };
        }
    }
}

/// The outputs of some rows for `T` tokens from `first` on; returns `T`.
///
/// # Safety
/// The instructions of `D` and AVX2 are there.
#[inline(always)]
unsafe fn some<D: Dot<Vector = __m256i>, const R: usize, const T: usize>(
    rows: &Rows,
    own: Range<usize>,
    first: usize,
    band: &mut Band,
) -> usize {
    let values = std::array::from_fn(|t| rows.token(first + t));
    for row in own.clone().step_by(R) {
        let last = own.end.min(row + R);
        // Rows beyond the last are the last one again.
        let packed = std::array::from_fn(|r| rows.row((row + r).min(last - 1)));
        // SAFETY: the instructions are there.
        let dots = unsafe { dots::<D, R, T>(packed, values) };
        for (t, dots) in dots.into_iter().enumerate() {
            let activation = rows.activation(first + t);
            for (out, dot) in band.token(first + t)[row..last].iter_mut().zip(dots) {
                *out = finish(dot, activation, rows.scale);
            }
        }
    }
    T
}

/// The same for one token, and row after row: what is not a product is for four rows at once.
///
/// # Safety
/// There is AVX2.
#[inline(always)]
unsafe fn one_after_the_other(
    rows: &Rows,
    own: Range<usize>,
    token: usize,
    band: &mut Band,
) -> usize {
    let (values, activation) = (rows.token(token), rows.activation(token));
    let outputs = band.token(token)[own.clone()].chunks_mut(4);
    for (outputs, row) in outputs.zip(own.clone().step_by(4)) {
        // Rows beyond the last are the last one again.
        let packed: [_; 4] = std::array::from_fn(|r| rows.row((row + r).min(own.end - 1)));
        let mut dots = [0; 4];
        // SAFETY: there is AVX2, and the array has room for what is stored.
        unsafe {
            let mut four = [Maddubs::zero(); 4];
            for (lanes, packed) in four.iter_mut().zip(packed) {
                *lanes = alone(packed, values);
            }
            _mm_storeu_si128(dots.as_mut_ptr().cast(), horizontal_sums(four));
        }
        for (output, dot) in outputs.iter_mut().zip(dots) {
            *output = finish(dot, activation, rows.scale);
        }
    }
    1
}

/// Sums of code times activation of one row, in lanes.
///
/// # Safety
/// There is AVX2.
#[inline(always)]
unsafe fn alone(row: &[u8], values: &[i8]) -> __m256i {
    let (row, values) = (
        row.as_chunks::<BLOCK_BYTES>().0,
        values.as_chunks::<BLOCK>().0,
    );
    assert_eq!(row.len(), values.len(), "a row of the activations' length");
    let between = row.chunks(BETWEEN_WIDENINGS);
    // SAFETY: there is AVX2, and references vouch for what is loaded.
    unsafe {
        let mut wide = Maddubs::zero();
        for (row, values) in between.zip(values.chunks(BETWEEN_WIDENINGS)) {
            let mut sums = Maddubs::begin(wide);
            for (bytes, values) in row.iter().zip(values) {
                let bytes = bytes.as_ptr();
                _mm_prefetch::<_MM_HINT_T1>(bytes.wrapping_add(AHEAD).cast());
                let planes = values.as_chunks::<BLOCK_BYTES>().0;
                sums = _mm256_add_epi16(sums, block(Maddubs::load(bytes), planes));
            }
            wide = Maddubs::widen(wide, sums);
        }
        wide
    }
}

/// Sums of eight products of a block each. The higher code of a half byte stays where it is, four
/// times too large, until all four of its products, at most 4 · 3 · 128 each, are in a lane.
///
/// # Safety
/// There is AVX2.
#[inline(always)]
unsafe fn block(codes: __m256i, planes: &[[i8; BLOCK_BYTES]]) -> __m256i {
    // SAFETY: there is AVX2, and references vouch for what is loaded.
    unsafe {
        let mut sums = [Maddubs::zero(); 2];
        // The last plane of a byte is its lowest.
        let halves = [(codes, 2), (_mm256_srli_epi16::<4>(codes), 0)];
        for (codes, plane) in halves {
            for (sum, (bits, plane)) in sums.iter_mut().zip([(3, plane + 1), (12, plane)]) {
                let codes = _mm256_and_si256(codes, _mm256_set1_epi8(bits));
                *sum = Maddubs::add(*sum, codes, Maddubs::load(planes[plane].as_ptr().cast()));
            }
        }
        let [ones, fours] = sums;
        _mm256_add_epi16(ones, _mm256_srai_epi16::<2>(fours))
    }
}

/// Sums of code times activation of some rows with some tokens.
///
/// # Safety
/// The instructions of `D` and AVX2 are there.
#[inline(always)]
unsafe fn dots<D: Dot<Vector = __m256i>, const R: usize, const T: usize>(
    packed: [&[u8]; R],
    values: [&[i8]; T],
) -> [[i32; R]; T] {
    let blocks = packed.map(|row| row.as_chunks::<BLOCK_BYTES>().0);
    let values = values.map(|token| token.as_chunks::<BLOCK>().0);
    let count = values[0].len();
    assert!(
        blocks.iter().all(|row| row.len() == count) && values.iter().all(|x| x.len() == count),
        "rows of the activations' length"
    );
    // SAFETY: the instructions are there, references vouch for what is loaded, and arrays have
    // room for what is stored.
    unsafe {
        let two_bits = _mm256_set1_epi8(3);
        let mut wide = [[D::zero(); R]; T];
        for start in (0..count).step_by(BETWEEN_WIDENINGS) {
            let mut sums = wide;
            for sum in sums.as_flattened_mut() {
                *sum = D::begin(*sum);
            }
            for block in start..count.min(start + BETWEEN_WIDENINGS) {
                let mut codes = [D::zero(); R];
                for (codes, row) in codes.iter_mut().zip(blocks) {
                    let bytes = row[block].as_ptr();
                    _mm_prefetch::<_MM_HINT_T1>(bytes.wrapping_add(AHEAD).cast());
                    *codes = D::load(bytes);
                }
                // The last plane of a byte is its lowest.
                for plane in (0..BLOCK / BLOCK_BYTES).rev() {
                    let mut digits = codes;
                    for (digits, codes) in digits.iter_mut().zip(&mut codes) {
                        *digits = _mm256_and_si256(*codes, two_bits);
                        *codes = _mm256_srli_epi16::<2>(*codes);
                    }
                    for (sums, values) in sums.iter_mut().zip(values) {
                        let plane = &values[block].as_chunks::<BLOCK_BYTES>().0[plane];
                        let values = D::load(plane.as_ptr().cast());
                        for (sum, digits) in sums.iter_mut().zip(digits) {
                            *sum = D::add(*sum, digits, values);
                        }
                    }
                }
            }
            for (wide, sum) in wide.as_flattened_mut().iter_mut().zip(sums.as_flattened()) {
                *wide = D::widen(*wide, *sum);
            }
        }
        let mut all = [[0; R]; T];
        for (sum, lanes) in all.as_flattened_mut().iter_mut().zip(wide.as_flattened()) {
            *sum = horizontal_sum(*lanes);
        }
        all
    }
}

/// All eight lanes.
///
/// # Safety
/// There is AVX2.
#[inline(always)]
unsafe fn horizontal_sum(lanes: __m256i) -> i32 {
    // SAFETY: there is AVX2.
    unsafe {
        let quad = _mm_add_epi32(
            _mm256_castsi256_si128(lanes),
            _mm256_extracti128_si256::<1>(lanes),
        );
        let pair = _mm_add_epi32(quad, _mm_unpackhi_epi64(quad, quad));
        let one = _mm_add_epi32(pair, _mm_shuffle_epi32::<1>(pair));
        _mm_cvtsi128_si32(one)
    }
}

/// All eight lanes of each.
///
/// # Safety
/// There is AVX2.
#[inline(always)]
unsafe fn horizontal_sums([a, b, c, d]: [__m256i; 4]) -> __m128i {
    // SAFETY: there is AVX2.
    unsafe {
        let quads = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
        _mm_add_epi32(
            _mm256_castsi256_si128(quads),
            _mm256_extracti128_si256::<1>(quads),
        )
    }
}
