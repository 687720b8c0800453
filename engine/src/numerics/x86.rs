//! Products of half-precision rows with the vectors of x86-64, in the order of any profile whose
//! lanes are singles.
//!
//! A profile's lanes and accumulators are only a matter of which element meets which running sum:
//! as many vectors as hold them all give the same bits, whatever their width.

#![allow(unsafe_code)]

mod codes;
mod heads;
mod tiles;

use std::arch::x86_64::*;

use super::dense::{self, Grid, Rows};
use super::half::{Half, widen_f16};
use super::lanes::Order;

/// The shared code where there is an instruction for `mul_add`.
pub mod plain {
    use super::{Grid, Half, Order, Rows, dense};

    /// See [`dense::dots_f16`].
    #[target_feature(enable = "avx2,fma")]
    pub fn dots_f16<const L: usize, O: Order<L>>(
        rows: Rows<Half>,
        xs: Rows<Half>,
        len: usize,
        together: usize,
        grid: Grid,
    ) {
        dense::dots_f16::<L, O>(rows, xs, len, together, grid);
    }

    /// See [`dense::tiles_f16`].
    #[target_feature(enable = "avx2,fma")]
    pub fn tiles_f16<const L: usize, O: Order<L>>(
        rows: Rows<Half>,
        xs: Rows<f32>,
        len: usize,
        grid: Grid,
    ) {
        dense::tiles_f16::<L, O>(rows, xs, len, grid);
    }
}

/// The products where there are AVX2, FMA and F16C.
pub mod avx2 {
    use super::{Grid, Half, Order, Rows, dense, tiles, ymm};

    /// See [`dense::dots_f16`].
    #[target_feature(enable = "avx2,fma,f16c")]
    pub fn dots_f16<const L: usize, O: Order<L>>(
        rows: Rows<Half>,
        xs: Rows<Half>,
        len: usize,
        together: usize,
        grid: Grid,
    ) {
        if O::F16_IN_SINGLES {
            ymm::dots::<L, O>(rows, xs, len, grid);
        } else {
            dense::dots_f16::<L, O>(rows, xs, len, together, grid);
        }
    }

    /// See [`dense::tiles_f16`].
    #[target_feature(enable = "avx2,fma,f16c")]
    pub fn tiles_f16<const L: usize, O: Order<L>>(
        rows: Rows<Half>,
        xs: Rows<f32>,
        len: usize,
        grid: Grid,
    ) {
        if L >= 8 {
            tiles::tiles::<L, O>(rows, xs, len, grid);
        } else {
            dense::tiles_f16::<L, O>(rows, xs, len, grid);
        }
    }
}

/// The products where there is AVX-512, too.
pub mod avx512 {
    use super::{Grid, Half, Order, Rows, codes, dense, heads, tiles, zmm};

    /// See [`dense::dots_f16`].
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    pub fn dots_f16<const L: usize, O: Order<L>>(
        rows: Rows<Half>,
        xs: Rows<Half>,
        len: usize,
        together: usize,
        grid: Grid,
    ) {
        if !O::F16_IN_SINGLES {
            dense::dots_f16::<L, O>(rows, xs, len, together, grid);
        } else if L == heads::LANES && heads::suits(len) {
            heads::dots(rows, xs, len, grid);
        } else {
            zmm::dots::<L, O>(rows, xs, len, grid);
        }
    }

    /// See [`dense::tiles_f16`].
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    pub fn tiles_f16<const L: usize, O: Order<L>>(
        rows: Rows<Half>,
        xs: Rows<f32>,
        len: usize,
        grid: Grid,
    ) {
        match L {
            heads::LANES => heads::tiles(rows, xs, len, grid),
            8 => tiles::tiles::<L, O>(rows, xs, len, grid),
            _ => dense::tiles_f16::<L, O>(rows, xs, len, grid),
        }
    }

    /// Rows of QK256 · one token's activations.
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    pub fn dots_qk256<const L: usize, O: Order<L>>(rows: Rows<u8>, x: &[f32], out: &mut [f32]) {
        codes::dots::<L, O>(rows, x, out);
    }
}

/// Defines the products for one width of vectors.
macro_rules! products {
    (
        $(#[$doc:meta])*
        $module:ident: $features:literal, $vector:ty, $lanes:literal,
        $zero:ident, $store:ident, $fma:ident, $widen:ident, $halves:ident
    ) => {
        $(#[$doc])*
        pub mod $module {
            use super::*;

            /// Dot products: four vectors of the profile's lanes each.
            #[target_feature(enable = $features)]
            pub fn dots<const L: usize, O: Order<L>>(
                rows: Rows<Half>,
                xs: Rows<Half>,
                len: usize,
                mut grid: Grid,
            ) {
                // As many rows at a time as hide the latency of a sum.
                const R: usize = $lanes / 4;
                let mut token = 0;
                while token < grid.tokens {
                    let x = xs.row(token, len);
                    token += match (4 * L / $lanes, grid.tokens - token) {
                        (1, 1) => some::<L, O, 1, R, 1>(rows, [x], token, &mut grid),
                        (2, 1) => some::<L, O, 2, R, 1>(rows, [x], token, &mut grid),
                        (4, 1) => some::<L, O, 4, R, 1>(rows, [x], token, &mut grid),
                        (1, _) => {
                            let xs = [x, xs.row(token + 1, len)];
                            some::<L, O, 1, { R / 2 }, 2>(rows, xs, token, &mut grid)
                        }
                        (2, _) => {
                            let xs = [x, xs.row(token + 1, len)];
                            some::<L, O, 2, { R / 2 }, 2>(rows, xs, token, &mut grid)
                        }
                        (4, _) => {
                            let xs = [x, xs.row(token + 1, len)];
                            some::<L, O, 4, { R / 2 }, 2>(rows, xs, token, &mut grid)
                        }
                        // Two of them would not fit the registers.
                        _ => some::<L, O, 8, 1, 1>(rows, [x], token, &mut grid),
                    };
                }
            }

            /// Those of all rows, `R` at a time, with `T` tokens from `first` on, in `V` vectors
            /// for each of both; returns `T`.
            #[target_feature(enable = $features)]
            fn some<
                const L: usize,
                O: Order<L>,
                const V: usize,
                const R: usize,
                const T: usize,
            >(
                rows: Rows<Half>,
                xs: [&[Half]; T],
                first: usize,
                grid: &mut Grid,
            ) -> usize {
                let len = xs[0].len();
                let taken = len / (4 * L) * (4 * L);
                for group in (0..grid.rows).step_by(R) {
                    let last = grid.rows.min(group + R);
                    // Rows beyond the last are the last one again.
                    let row = |r: usize| rows.row((group + r).min(last - 1), len);
                    let some: [&[Half]; R] = std::array::from_fn(row);
                    let sums = sums::<V, R, T>(some, xs, R * rows.stride);
                    for (t, (x, sums)) in xs.iter().zip(&sums).enumerate() {
                        let out = &mut grid.token(first + t)[group..last];
                        for ((out, sums), row) in out.iter_mut().zip(sums).zip(some) {
                            *out = finish::<L, O>(sums, &row[taken..], &x[taken..]);
                        }
                    }
                }
                T
            }

            /// The running sums of `R` rows with `T` tokens, in `V` vectors for each of both. The
            /// rows that come next are so many elements further on.
            #[target_feature(enable = $features)]
            fn sums<const V: usize, const R: usize, const T: usize>(
                rows: [&[Half]; R],
                xs: [&[Half]; T],
                further: usize,
            ) -> [[[f32; MOST]; R]; T] {
                let (len, step) = (xs[0].len(), V * $lanes);
                assert!(
                    rows.iter().chain(&xs).all(|row| row.len() == len),
                    "rows of one length"
                );
                let mut sums = [[[$zero(); V]; R]; T];
                for at in (0..len / step * step).step_by(step) {
                    for row in rows {
                        prefetch(&row[at..at + step], further);
                    }
                    for v in 0..V {
                        let at = at + v * $lanes;
                        let mut widened = [$zero(); R];
                        for (widened, row) in widened.iter_mut().zip(rows) {
                            *widened = widen(row, at);
                        }
                        for (sums, x) in sums.iter_mut().zip(xs) {
                            let x = widen(x, at);
                            for (sums, row) in sums.iter_mut().zip(widened) {
                                sums[v] = $fma(row, x, sums[v]);
                            }
                        }
                    }
                }
                let mut lanes = [[[0f32; MOST]; R]; T];
                for (sums, lanes) in sums.iter().flatten().zip(lanes.as_flattened_mut()) {
                    store(sums, lanes);
                }
                lanes
            }

            /// Writes the lanes one after the other.
            #[inline]
            #[target_feature(enable = $features)]
            fn store(vectors: &[$vector], lanes: &mut [f32]) {
                for (vector, lanes) in vectors.iter().zip(lanes.as_chunks_mut::<$lanes>().0) {
                    // SAFETY: the array has room for a vector, and the store asks for no
                    // alignment.
                    unsafe { $store(lanes.as_mut_ptr(), *vector) };
                }
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn widen(row: &[Half], at: usize) -> $vector {
                let halves = &row[at..at + $lanes];
                // SAFETY: the slice has that many halves, and the load asks for no alignment.
                $widen(unsafe { $halves(halves.as_ptr().cast()) })
            }
        }
    };
}

/// Lanes of all accumulators of a dot product, for the profile with the most.
const MOST: usize = 64;

/// From the running sums to the result: accumulators two apart meet first, and what filled no
/// step is added in double precision.
#[inline(always)]
fn finish<const L: usize, O: Order<L>>(sums: &[f32; MOST], row: &[Half], x: &[Half]) -> f32 {
    let meet = |l: usize| (sums[l] + sums[l + 2 * L]) + (sums[l + L] + sums[l + 3 * L]);
    let mut sum = f64::from(O::sum_dot(std::array::from_fn(meet)));
    for (&a, &b) in row.iter().zip(x) {
        sum += f64::from(widen_f16(a) * widen_f16(b));
    }
    sum as f32
}

/// Asks the second level of the cache for what is so many elements further on.
#[inline(always)]
fn prefetch(elements: &[Half], further: usize) {
    for line in (0..elements.len()).step_by(32) {
        let ahead = elements.as_ptr().wrapping_add(further + line);
        // SAFETY: every x86-64 has the instruction, and it reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(ahead.cast()) };
    }
}

products! {
    /// With 8 lanes a vector: AVX2, FMA and F16C.
    ymm: "avx2,fma,f16c", __m256, 8,
    _mm256_setzero_ps, _mm256_storeu_ps, _mm256_fmadd_ps, _mm256_cvtph_ps,
    halves_8
}

products! {
    /// With 16 lanes a vector: AVX-512.
    zmm: "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl", __m512, 16,
    _mm512_setzero_ps, _mm512_storeu_ps, _mm512_fmadd_ps, _mm512_cvtph_ps,
    halves_16
}

/// Eight halves.
///
/// # Safety
/// 16 bytes can be read.
#[inline(always)]
unsafe fn halves_8(at: *const __m128i) -> __m128i {
    // SAFETY: by the caller's promise; the load asks for no alignment.
    unsafe { _mm_loadu_si128(at) }
}

/// Sixteen halves.
///
/// # Safety
/// 32 bytes can be read, and the processor has AVX.
#[inline]
#[target_feature(enable = "avx")]
unsafe fn halves_16(at: *const __m256i) -> __m256i {
    // SAFETY: by the caller's promise; the load asks for no alignment.
    unsafe { _mm256_loadu_si256(at) }
}
