//! QK256 with the vectors of x86-64: a lane a row, so that every output is added up from the
//! first column to the last, product and sum rounded each, as the scalar kernel does.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::gemm::{Form, Gemm, Inputs, Stored, Tile};
use crate::flavor::qk256::{BLOCK, BLOCK_BYTES};
use crate::pool::Band;

/// Codes of four bytes, and such words of a block.
const CODES: usize = 16;
const WORDS: usize = BLOCK / CODES;

/// What the codes stand for, once for every four lanes.
const VALUES: [f32; 16] = [
    -2.0, -1.0, 1.0, 2.0, -2.0, -1.0, 1.0, 2.0, -2.0, -1.0, 1.0, 2.0, -2.0, -1.0, 1.0, 2.0,
];

/// Some rows of a matrix and the tokens that meet them.
struct Rows<'a> {
    codes: &'a [u8],
    stride: usize,
    cols: usize,
    inputs: &'a Inputs<'a>,
}

impl Rows<'_> {
    /// A block of a row, counted from the band's first; rows beyond the last are the last one
    /// again.
    fn block(&self, row: usize, block: usize) -> &[u8; BLOCK_BYTES] {
        let row = row.min(self.codes.len() / self.stride - 1);
        let at = row * self.stride + block * BLOCK_BYTES;
        self.codes[at..].first_chunk().expect("whole blocks")
    }
}

/// Defines the kernel for one width of vectors.
macro_rules! kernel {
    (
        $(#[$doc:meta])*
        $module:ident: $name:literal, $features:literal, $lanes:literal, $float:ty, $int:ty,
        $zero:ident, $set:ident, $multiply:ident, $add:ident, $pick:ident, $shift:ident,
        $load:ident, $load_words:ident, $store:ident, $transpose:ident
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
            const OF_MANY: usize = 2;
            /// Tokens that share the unpacking.
            const TOKENS: usize = 4;

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
                    let cols = weights.shape.cols;
                    let stride = cols.div_ceil(BLOCK) * BLOCK_BYTES;
                    let own = band.rows();
                    let rows = Rows {
                        codes: &weights.bytes[own.start * stride..own.end * stride],
                        stride,
                        cols,
                        inputs,
                    };
                    let (height, many) = (own.len(), inputs.tokens / TOKENS * TOKENS);
                    for row in (0..height).step_by(OF_MANY * $lanes) {
                        for token in (0..many).step_by(TOKENS) {
                            // SAFETY: whoever hands the kernel out has seen the instructions.
                            unsafe { tile::<OF_MANY, TOKENS>(&rows, row, token, band) };
                        }
                    }
                    for row in (0..height).step_by(OF_ONE * $lanes) {
                        for token in many..inputs.tokens {
                            // SAFETY: as above.
                            unsafe { tile::<OF_ONE, 1>(&rows, row, token, band) };
                        }
                    }
                }
            }

            /// The outputs of `V` vectors of rows for `T` tokens.
            #[target_feature(enable = $features)]
            fn tile<const V: usize, const T: usize>(
                rows: &Rows,
                row: usize,
                token: usize,
                band: &mut Band,
            ) {
                let cols = rows.cols;
                let xs: [&[f32]; T] = std::array::from_fn(|t| {
                    &rows.inputs.plain[(token + t) * cols..(token + t + 1) * cols]
                });
                let mut sums = [[$zero(); V]; T];
                let mut words = [[[0u32; $lanes]; V]; WORDS];
                for block in 0..cols.div_ceil(BLOCK) {
                    for v in 0..V {
                        $transpose(rows, row + v * $lanes, block, &mut words, v);
                    }
                    let first = block * BLOCK;
                    let chunks = (first..cols.min(first + BLOCK)).step_by(CODES);
                    for (start, words) in chunks.zip(&words) {
                        let xs = xs.map(|x| &x[start..cols.min(start + CODES)]);
                        add_chunk(&mut sums, words, xs);
                    }
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

            /// Adds up to 16 columns.
            #[inline]
            #[target_feature(enable = $features)]
            fn add_chunk<const V: usize, const T: usize>(
                sums: &mut [[$float; V]; T],
                words: &[[u32; $lanes]; V],
                xs: [&[f32]; T],
            ) {
                // SAFETY: the array has as many floats as the widest vector.
                let values = unsafe { $load(VALUES.as_ptr()) };
                // SAFETY: the array has a vector's words, and no alignment is asked for.
                let first = unsafe { $load_words(words[0].as_ptr().cast()) };
                // No closures here: what is not inlined would pass vectors through memory.
                let (mut codes, mut weights) = ([first; V], [values; V]);
                for (codes, words) in codes.iter_mut().zip(words) {
                    // SAFETY: as above.
                    *codes = unsafe { $load_words(words.as_ptr().cast()) };
                }
                if xs[0].len() == CODES {
                    for i in 0..CODES {
                        add_column(sums, &mut codes, &mut weights, xs, i);
                    }
                } else {
                    for i in 0..xs[0].len() {
                        add_column(sums, &mut codes, &mut weights, xs, i);
                    }
                }
            }

            /// Adds the column of the lowest codes, and takes them off.
            #[inline]
            #[target_feature(enable = $features)]
            fn add_column<const V: usize, const T: usize>(
                sums: &mut [[$float; V]; T],
                codes: &mut [$int; V],
                weights: &mut [$float; V],
                xs: [&[f32]; T],
                i: usize,
            ) {
                // SAFETY: the array has as many floats as the widest vector.
                let values = unsafe { $load(VALUES.as_ptr()) };
                if T == 1 {
                    // The four products of a column, of which the lowest two bits pick one.
                    let products = $multiply(values, $set(xs[0][i]));
                    for (sum, codes) in sums[0].iter_mut().zip(&*codes) {
                        *sum = $add(*sum, $pick(products, *codes));
                    }
                } else {
                    for (weight, codes) in weights.iter_mut().zip(&*codes) {
                        *weight = $pick(values, *codes);
                    }
                    for (sums, x) in sums.iter_mut().zip(xs) {
                        let x = $set(x[i]);
                        for (sum, weight) in sums.iter_mut().zip(&*weights) {
                            *sum = $add(*sum, $multiply(*weight, x));
                        }
                    }
                }
                for codes in codes {
                    *codes = $shift::<2>(*codes);
                }
            }
        }
    };
}

kernel! {
    /// With AVX2: eight rows a vector.
    avx2: "x86_64-avx2-qk256", "avx2", 8, __m256, __m256i,
    _mm256_setzero_ps, _mm256_set1_ps, _mm256_mul_ps, _mm256_add_ps, _mm256_permutevar_ps,
    _mm256_srli_epi32, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_storeu_ps,
    words_of_8
}

kernel! {
    /// With AVX-512: sixteen rows a vector.
    avx512: "x86_64-avx512vnni-qk256", "avx512f", 16, __m512, __m512i,
    _mm512_setzero_ps, _mm512_set1_ps, _mm512_mul_ps, _mm512_add_ps, _mm512_permutevar_ps,
    _mm512_srli_epi32, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_storeu_ps,
    words_of_16
}

/// Words of many rows, the same word of all of them side by side: those of `V` vectors of rows.
type Words<const LANES: usize, const V: usize> = [[[u32; LANES]; V]; WORDS];

/// The words of the eight rows from `row` on, for vector `v`.
#[inline]
#[target_feature(enable = "avx2")]
fn words_of_8<const V: usize>(
    rows: &Rows,
    row: usize,
    block: usize,
    words: &mut Words<8, V>,
    v: usize,
) {
    for lane in 0..8 {
        let own = rows.block(row + lane, block);
        prefetch(own);
        let own = own.as_chunks().0;
        for (words, word) in words.iter_mut().zip(own) {
            words[v][lane] = u32::from_le_bytes(*word);
        }
    }
}

/// The words of the sixteen rows from `row` on, for vector `v`: a transposition in four steps,
/// each of which doubles what lies together.
#[inline]
#[target_feature(enable = "avx512f")]
fn words_of_16<const V: usize>(
    rows: &Rows,
    row: usize,
    block: usize,
    words: &mut Words<16, V>,
    v: usize,
) {
    let zero = _mm512_setzero_si512();
    let (mut ones, mut pairs, mut fours) = ([zero; 16], [zero; 16], [zero; 16]);
    for (lane, one) in ones.iter_mut().enumerate() {
        let own = rows.block(row + lane, block);
        prefetch(own);
        // SAFETY: the reference vouches for 64 readable bytes; no alignment is asked for.
        *one = unsafe { _mm512_loadu_si512(own.as_ptr().cast()) };
    }
    for i in (0..16).step_by(2) {
        pairs[i] = _mm512_unpacklo_epi32(ones[i], ones[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_epi32(ones[i], ones[i + 1]);
    }
    // Of rows 4i to 4i + 3, vector 4i + c has column 4b + c in part b.
    for i in (0..16).step_by(4) {
        fours[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
        fours[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
        fours[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
        fours[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
    }
    for c in 0..4 {
        let (a, b, d, e) = (fours[c], fours[4 + c], fours[8 + c], fours[12 + c]);
        let low = _mm512_shuffle_i32x4::<0x44>(a, b);
        let high = _mm512_shuffle_i32x4::<0xee>(a, b);
        let lower = _mm512_shuffle_i32x4::<0x44>(d, e);
        let higher = _mm512_shuffle_i32x4::<0xee>(d, e);
        let columns = [
            _mm512_shuffle_i32x4::<0x88>(low, lower),
            _mm512_shuffle_i32x4::<0xdd>(low, lower),
            _mm512_shuffle_i32x4::<0x88>(high, higher),
            _mm512_shuffle_i32x4::<0xdd>(high, higher),
        ];
        for (b, column) in columns.into_iter().enumerate() {
            let own = &mut words[4 * b + c][v];
            // SAFETY: the array has room for a vector.
            unsafe { _mm512_storeu_si512(own.as_mut_ptr().cast(), column) };
        }
    }
}

/// Asks for the row's next block: too many rows are read at a time for the processor to see that.
#[inline(always)]
fn prefetch(block: &[u8; BLOCK_BYTES]) {
    let ahead = block.as_ptr().wrapping_add(BLOCK_BYTES);
    // SAFETY: every x86-64 has the instruction, and it reads nothing.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(ahead.cast()) };
}
