//! QK256 with the vectors of x86-64: a lane a row, so that every output is added up from the
//! first column to the last, product and sum rounded each, as the scalar kernel does.
//!
//! Twice an activation is exact unless it overflows. Where no activation is that large, product
//! and sum may be rounded at once, and a fused addition gives the same bits.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::gemm::{Form, Gemm, Inputs, Stored, Tile};
use super::row_groups::{self, COLS, LINE};
use crate::pool::Band;

/// What the codes stand for: by the lowest two bits of an index of four bits, and by the two
/// above them.
const LOW: [f32; 16] = [
    -2.0, -1.0, 1.0, 2.0, -2.0, -1.0, 1.0, 2.0, -2.0, -1.0, 1.0, 2.0, -2.0, -1.0, 1.0, 2.0,
];
const HIGH: [f32; 16] = [
    -2.0, -2.0, -2.0, -2.0, -1.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0,
];

/// Activations below it can be doubled.
const DOUBLES: f32 = f32::MAX / 2.0;

/// Whether product and sum may be rounded at once.
#[inline(always)]
fn may_fuse(activations: &[f32]) -> bool {
    let doubles = |x: &f32| x.abs() <= DOUBLES;
    activations.iter().fold(true, |all, x| all & doubles(x))
}

/// Some rows of a matrix and the tokens that meet them.
struct Rows<'a> {
    /// All groups from the band's first on.
    groups: &'a [u8],
    height: usize,
    cols: usize,
    inputs: &'a Inputs<'a>,
}

impl<'a> Rows<'a> {
    fn of(weights: &'a Stored, inputs: &'a Inputs<'a>, band: &Band) -> Self {
        let cols = weights.shape.cols;
        let group = band.rows().start / row_groups::ROWS;
        Rows {
            groups: &weights.bytes[group * row_groups::lines(cols) * LINE..],
            height: band.rows().len(),
            cols,
            inputs,
        }
    }

    /// The lanes of a vector from `row` on, in all lines of their group, and what is behind them:
    /// at least three bytes. Vectors beyond the last are the last one again.
    fn vector(&self, row: usize, lanes: usize) -> &'a [u8] {
        let row = row.min((self.height - 1) / lanes * lanes);
        let group = row / row_groups::ROWS * row_groups::lines(self.cols);
        &self.groups[group * LINE + 4 * (row % row_groups::ROWS)..]
    }
}

/// Defines the kernel for one width of vectors.
macro_rules! kernel {
    (
        $(#[$doc:meta])*
        $module:ident: $name:literal, $features:literal, $lanes:literal, $float:ty, $int:ty,
        of_many: $many:literal rows $tokens:literal tokens, high: $high:ident,
        $zero:ident, $no_codes:ident, $set:ident, $multiply:ident, $add:ident, $fused:ident,
        $shift:ident, $load:ident, $load_words:ident, $store:ident,
        $pick_low:ident, $pick_high:ident
    ) => {
        $(#[$doc])*
        pub mod $module {
            use super::*;

            /// Handed out only where the instructions are.
            pub struct Qk256(());

            /// The product.
            pub(in crate::kernels) static QK256: Qk256 = Qk256(());

            /// Vectors of rows: enough sums at a time to hide the latency of an addition.
            const OF_ONE: usize = 4;
            const OF_MANY: usize = $many;
            /// Tokens that share the unpacking.
            const TOKENS: usize = $tokens;

            impl Gemm for Qk256 {
                fn name(&self) -> &'static str {
                    $name
                }

                fn form(&self) -> Form {
                    Form::Plain
                }

                fn tile(&self, tokens: usize) -> Tile {
                    Tile {
                        rows: OF_ONE * $lanes,
                        tokens: tokens.clamp(1, TOKENS),
                    }
                }

                fn multiply(&self, weights: &Stored, inputs: &Inputs, band: &mut Band) {
                    let rows = Rows::of(weights, inputs, band);
                    // SAFETY: whoever hands the kernel out has seen the instructions.
                    unsafe {
                        if may_fuse(inputs.plain) {
                            all::<true>(&rows, band);
                        } else {
                            all::<false>(&rows, band);
                        }
                    }
                }
            }

            /// The outputs of all rows and tokens.
            #[target_feature(enable = $features)]
            fn all<const FUSED: bool>(rows: &Rows, band: &mut Band) {
                let many = rows.inputs.tokens / TOKENS * TOKENS;
                for row in (0..rows.height).step_by(OF_MANY * $lanes) {
                    for token in (0..many).step_by(TOKENS) {
                        tile::<FUSED, OF_MANY, TOKENS>(rows, row, token, band);
                    }
                }
                for row in (0..rows.height).step_by(OF_ONE * $lanes) {
                    for token in many..rows.inputs.tokens {
                        tile::<FUSED, OF_ONE, 1>(rows, row, token, band);
                    }
                }
            }

            /// The outputs of `V` vectors of rows for `T` tokens.
            #[target_feature(enable = $features)]
            fn tile<const FUSED: bool, const V: usize, const T: usize>(
                rows: &Rows,
                row: usize,
                token: usize,
                band: &mut Band,
            ) {
                let cols = rows.cols;
                // The same lines of the rows that come next.
                let ahead = V * $lanes / row_groups::ROWS * row_groups::lines(cols) * LINE;
                let (mut vectors, mut whole) = ([&[] as &[u8]; V], [&[] as &[[f32; COLS]]; T]);
                for (v, vector) in vectors.iter_mut().enumerate() {
                    *vector = rows.vector(row + v * $lanes, $lanes);
                }
                // A sum is never −0, so that zeros of either sign leave it alone.
                let mut padded = [[0f32; COLS]; T];
                for t in 0..T {
                    let x = &rows.inputs.plain[(token + t) * cols..(token + t + 1) * cols];
                    let (lines, rest) = x.as_chunks();
                    whole[t] = lines;
                    padded[t][..rest.len()].copy_from_slice(rest);
                }
                let mut sums = [[$zero(); V]; T];
                for line in 0..row_groups::lines(cols) {
                    let (mut words, mut xs) = ([&[0u8; 4 * $lanes + 3]; V], [&[0f32; COLS]; T]);
                    for (words, vector) in words.iter_mut().zip(vectors) {
                        let own = &vector[line * LINE..];
                        *words = own.first_chunk().expect("a vector and three bytes");
                        prefetch(own, ahead);
                    }
                    for t in 0..T {
                        xs[t] = whole[t].get(line).unwrap_or(&padded[t]);
                    }
                    add_line::<FUSED, V, T>(&mut sums, words, xs);
                }
                for (t, sums) in sums.iter().enumerate() {
                    let mut lanes = [[0f32; $lanes]; V];
                    for (lanes, sum) in lanes.iter_mut().zip(sums) {
                        // SAFETY: the array has room for a vector.
                        unsafe { $store(lanes.as_mut_ptr(), *sum) };
                    }
                    let out = &mut band.token(token + t)[row..];
                    for (out, lane) in out.iter_mut().zip(lanes.as_flattened()) {
                        *out = *lane;
                    }
                }
            }

            /// Adds sixteen columns, four at a time.
            #[inline]
            #[target_feature(enable = $features)]
            fn add_line<const FUSED: bool, const V: usize, const T: usize>(
                before: &mut [[$float; V]; T],
                words: [&[u8; 4 * $lanes + 3]; V],
                xs: [&[f32; COLS]; T],
            ) {
                // What is behind a reference would be written back at every step.
                let mut sums = *before;
                for byte in 0..4 {
                    let mut codes = [$no_codes(); V];
                    for (codes, words) in codes.iter_mut().zip(words) {
                        let from = &words[byte..byte + 4 * $lanes];
                        // SAFETY: the slice has a vector's bytes, and no alignment is asked for.
                        *codes = unsafe { $load_words(from.as_ptr().cast()) };
                    }
                    add_pair::<FUSED, V, T>(&mut sums, &codes, xs, 4 * byte);
                    for codes in &mut codes {
                        *codes = $shift::<4>(*codes);
                    }
                    add_pair::<FUSED, V, T>(&mut sums, &codes, xs, 4 * byte + 2);
                }
                *before = sums;
            }

            /// Adds the two columns of the lowest four bits. No closures here: what is not inlined
            /// would pass vectors through memory.
            #[inline]
            #[target_feature(enable = $features)]
            fn add_pair<const FUSED: bool, const V: usize, const T: usize>(
                sums: &mut [[$float; V]; T],
                codes: &[$int; V],
                xs: [&[f32; COLS]; T],
                i: usize,
            ) {
                // SAFETY: the arrays have as many floats as the widest vector.
                let (low, high) = unsafe { ($load(LOW.as_ptr()), $load($high.as_ptr())) };
                if T == 1 {
                    let (x, next) = ($set(xs[0][i]), $set(xs[0][i + 1]));
                    let products = ($multiply(low, x), $multiply(high, next));
                    for v in 0..V {
                        let (sum, codes) = (&mut sums[0][v], codes[v]);
                        // Units for fused additions are others than those for additions.
                        if FUSED && v % 2 == 1 {
                            *sum = $fused($pick_low(low, codes), x, *sum);
                            *sum = $fused($pick_high(high, codes), next, *sum);
                        } else {
                            *sum = $add(*sum, $pick_low(products.0, codes));
                            *sum = $add(*sum, $pick_high(products.1, codes));
                        }
                    }
                } else {
                    let mut weights = [low; V];
                    for (weight, codes) in weights.iter_mut().zip(codes) {
                        *weight = $pick_low(low, *codes);
                    }
                    add_column::<FUSED, V, T>(sums, &weights, xs, i);
                    for (weight, codes) in weights.iter_mut().zip(codes) {
                        *weight = $pick_high(high, *codes);
                    }
                    add_column::<FUSED, V, T>(sums, &weights, xs, i + 1);
                }
            }

            /// Adds a column of some tokens.
            #[inline]
            #[target_feature(enable = $features)]
            fn add_column<const FUSED: bool, const V: usize, const T: usize>(
                sums: &mut [[$float; V]; T],
                weights: &[$float; V],
                xs: [&[f32; COLS]; T],
                i: usize,
            ) {
                for (sums, x) in sums.iter_mut().zip(xs) {
                    let x = $set(x[i]);
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum = if FUSED {
                            $fused(*weight, x, *sum)
                        } else {
                            $add(*sum, $multiply(*weight, x))
                        };
                    }
                }
            }
        }
    };
}

kernel! {
    /// With AVX2: eight rows a vector.
    avx2: "x86_64-avx2-qk256", "avx2,fma", 8, __m256, __m256i,
    of_many: 2 rows 4 tokens, high: LOW,
    _mm256_setzero_ps, _mm256_setzero_si256, _mm256_set1_ps, _mm256_mul_ps,
    _mm256_add_ps, _mm256_fmadd_ps,
    _mm256_srli_epi32, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_storeu_ps,
    low_of_8, high_of_8
}

kernel! {
    /// With AVX-512: sixteen rows a vector.
    avx512: "x86_64-avx512vnni-qk256", "avx512f", 16, __m512, __m512i,
    of_many: 2 rows 12 tokens, high: HIGH,
    _mm512_setzero_ps, _mm512_setzero_si512, _mm512_set1_ps, _mm512_mul_ps,
    _mm512_add_ps, _mm512_fmadd_ps,
    _mm512_srli_epi32, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_storeu_ps,
    low_of_16, high_of_16
}

/// Picks by the lowest two bits of every lane.
#[inline]
#[target_feature(enable = "avx2")]
fn low_of_8(values: __m256, codes: __m256i) -> __m256 {
    _mm256_permutevar_ps(values, codes)
}

/// Picks by the two bits above them: in four lanes, where there is no index of four bits.
#[inline]
#[target_feature(enable = "avx2")]
fn high_of_8(values: __m256, codes: __m256i) -> __m256 {
    _mm256_permutevar_ps(values, _mm256_srli_epi32::<2>(codes))
}

/// Picks by the lowest two bits of every lane.
#[inline]
#[target_feature(enable = "avx512f")]
fn low_of_16(values: __m512, codes: __m512i) -> __m512 {
    _mm512_permutexvar_ps(codes, values)
}

/// Picks by the two bits above them.
#[inline]
#[target_feature(enable = "avx512f")]
fn high_of_16(values: __m512, codes: __m512i) -> __m512 {
    _mm512_permutexvar_ps(codes, values)
}

/// Asks the second level of the cache for what is so many bytes further on.
#[inline(always)]
fn prefetch(bytes: &[u8], further: usize) {
    let ahead = bytes.as_ptr().wrapping_add(further);
    // SAFETY: every x86-64 has the instruction, and it reads nothing.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(ahead.cast()) };
}
