//! Vectors of singles of every width behind the same few operations, so that a product is written
//! once for them.
//!
//! The functions are inlined into callers that enable the instructions.

use std::arch::x86_64::*;

use crate::numerics::half::Half;

/// One of them.
///
/// # Safety
/// The functions of an implementation may be called where its instructions are.
#[allow(clippy::missing_safety_doc)] // it is the trait's
pub unsafe trait Vector: Copy {
    /// How many singles.
    const LANES: usize;

    /// Zeros.
    unsafe fn zero() -> Self;
    /// The same single in every lane.
    unsafe fn same(single: f32) -> Self;
    /// The same four singles over and over.
    unsafe fn fours(four: &[f32; 4]) -> Self;
    /// The singles from there on, wherever they lie.
    unsafe fn load(from: *const f32) -> Self;
    /// The same IEEE half in every lane.
    unsafe fn half(half: Half) -> Self;
    /// The IEEE halves from there on.
    unsafe fn halves(from: *const Half) -> Self;
    /// The bfloat16 from there on.
    unsafe fn bfloats(from: *const Half) -> Self;
    /// What the codes from there on, four a byte, stand for among [`fours`](Self::fours).
    unsafe fn look_up(codes: *const u8, fours: Self) -> Self;
    /// Products.
    unsafe fn multiply(a: Self, b: Self) -> Self;
    /// Sums.
    unsafe fn add(a: Self, b: Self) -> Self;
    /// Sums and products, rounded once.
    unsafe fn fuse(a: Self, b: Self, sums: Self) -> Self;
    /// The lanes, wherever they go.
    unsafe fn store(self, to: *mut f32);
}

/// Defines a width.
macro_rules! width {
    (
        $vector:ty: $lanes:literal,
        $load_halves:ident($half:ty), $same_half:ident, $look_up:ident, $fours:ident,
        $zero:ident, $same:ident, $load:ident, $store:ident, $multiply:ident, $add:ident,
        $fuse:ident, $halves:ident, $widen:ident, $shift:ident, $cast:ident
    ) => {
        // SAFETY: nothing but the instructions named for it is used.
        unsafe impl Vector for $vector {
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: see the trait.
                unsafe { $zero() }
            }

            #[inline(always)]
            unsafe fn same(single: f32) -> Self {
                // SAFETY: see the trait.
                unsafe { $same(single) }
            }

            #[inline(always)]
            unsafe fn fours(four: &[f32; 4]) -> Self {
                // SAFETY: see the trait; the array is as long as what is read.
                unsafe { $fours(_mm_loadu_ps(four.as_ptr())) }
            }

            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: the caller vouches for a vector of them; no alignment is asked for.
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn half(half: Half) -> Self {
                // SAFETY: see the trait.
                unsafe { $halves($same_half(i16::from_le_bytes(half))) }
            }

            #[inline(always)]
            unsafe fn halves(from: *const Half) -> Self {
                // SAFETY: as above.
                unsafe { $halves($load_halves(from.cast::<$half>())) }
            }

            #[inline(always)]
            unsafe fn bfloats(from: *const Half) -> Self {
                // SAFETY: as above.
                unsafe { $cast($shift::<16>($widen($load_halves(from.cast::<$half>())))) }
            }

            #[inline(always)]
            unsafe fn look_up(codes: *const u8, fours: Self) -> Self {
                // SAFETY: as above.
                unsafe { $look_up(codes, fours) }
            }

            #[inline(always)]
            unsafe fn multiply(a: Self, b: Self) -> Self {
                // SAFETY: see the trait.
                unsafe { $multiply(a, b) }
            }

            #[inline(always)]
            unsafe fn add(a: Self, b: Self) -> Self {
                // SAFETY: see the trait.
                unsafe { $add(a, b) }
            }

            #[inline(always)]
            unsafe fn fuse(a: Self, b: Self, sums: Self) -> Self {
                // SAFETY: see the trait.
                unsafe { $fuse(a, b, sums) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: the caller vouches for room for a vector; no alignment is asked for.
                unsafe { $store(to, self) }
            }
        }
    };
}

width! {
    __m128: 4, _mm_loadl_epi64(__m128i), _mm_set1_epi16, look_up_4, once,
    _mm_setzero_ps, _mm_set1_ps, _mm_loadu_ps, _mm_storeu_ps, _mm_mul_ps,
    _mm_add_ps, _mm_fmadd_ps, _mm_cvtph_ps, _mm_cvtepu16_epi32, _mm_slli_epi32,
    _mm_castsi128_ps
}

width! {
    __m256: 8, _mm_loadu_si128(__m128i), _mm_set1_epi16, look_up_8, twice,
    _mm256_setzero_ps, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_mul_ps,
    _mm256_add_ps, _mm256_fmadd_ps, _mm256_cvtph_ps, _mm256_cvtepu16_epi32, _mm256_slli_epi32,
    _mm256_castsi256_ps
}

width! {
    __m512: 16, _mm256_loadu_si256(__m256i), _mm256_set1_epi16, look_up_16,
    _mm512_broadcast_f32x4, _mm512_setzero_ps, _mm512_set1_ps, _mm512_loadu_ps,
    _mm512_storeu_ps, _mm512_mul_ps,
    _mm512_add_ps, _mm512_fmadd_ps, _mm512_cvtph_ps, _mm512_cvtepu16_epi32, _mm512_slli_epi32,
    _mm512_castsi512_ps
}

/// The same four singles.
#[inline(always)]
unsafe fn once(four: __m128) -> __m128 {
    four
}

/// The same four singles twice.
#[inline(always)]
unsafe fn twice(four: __m128) -> __m256 {
    // SAFETY: the caller has AVX.
    unsafe { _mm256_set_m128(four, four) }
}

/// Four codes. An index is of two bits: what is above them does not matter.
#[inline(always)]
unsafe fn look_up_4(codes: *const u8, fours: __m128) -> __m128 {
    // SAFETY: the caller vouches for a byte, and has AVX2.
    unsafe {
        let shifts = _mm_setr_epi32(0, 2, 4, 6);
        let codes = _mm_srlv_epi32(_mm_set1_epi32(i32::from(*codes)), shifts);
        _mm_permutevar_ps(fours, codes)
    }
}

/// Eight codes.
#[inline(always)]
unsafe fn look_up_8(codes: *const u8, fours: __m256) -> __m256 {
    // SAFETY: the caller vouches for two bytes, and has AVX2.
    unsafe {
        let word = i32::from(codes.cast::<u16>().read_unaligned());
        let shifts = _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14);
        _mm256_permutevar_ps(fours, _mm256_srlv_epi32(_mm256_set1_epi32(word), shifts))
    }
}

/// Sixteen codes.
#[inline(always)]
unsafe fn look_up_16(codes: *const u8, fours: __m512) -> __m512 {
    // SAFETY: the caller vouches for four bytes, and has AVX-512.
    unsafe {
        let word = codes.cast::<i32>().read_unaligned();
        let shifts = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        _mm512_permutevar_ps(fours, _mm512_srlv_epi32(_mm512_set1_epi32(word), shifts))
    }
}
