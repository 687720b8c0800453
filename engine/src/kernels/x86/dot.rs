//! The instructions that multiply four unsigned bytes with four signed ones and add up what comes
//! out of it in a lane of 32 bits, each behind the same few operations.

use std::arch::x86_64::*;
use std::hint::black_box;

use crate::kernels::limits::CHAINS;

/// One of them.
///
/// # Safety
/// The functions of an implementation may be called where its instructions are.
#[allow(clippy::missing_safety_doc)] // it is the trait's
pub unsafe trait Dot {
    /// A vector.
    type Vector: Copy;
    /// 32-bit lanes of a vector.
    const LANES: usize;
    /// Tokens that share the loads of two vectors, as registers allow.
    const TOKENS: usize;
    /// Whether an addition waits several cycles for the one before.
    const WAITS: bool;

    /// Zeros.
    unsafe fn zero() -> Self::Vector;
    /// A vector's bytes, wherever they lie.
    unsafe fn load(from: *const u8) -> Self::Vector;
    /// The same four bytes in every lane.
    unsafe fn same(four: i32) -> Self::Vector;
    /// Sums and four products a lane; the unsigned bytes come first.
    unsafe fn add(sums: Self::Vector, unsigned: Self::Vector, signed: Self::Vector)
    -> Self::Vector;
    /// Sums of 32 bits and two products of 16-bit words a lane.
    unsafe fn add_words(sums: Self::Vector, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// What products are added to, after sums of 32 bits.
    unsafe fn begin(before: Self::Vector) -> Self::Vector;
    /// Those sums and what was added since [`begin`](Self::begin): at most 32 times, with codes up
    /// to 3.
    unsafe fn widen(before: Self::Vector, sums: Self::Vector) -> Self::Vector;
    /// The lanes, wherever they go.
    unsafe fn store(to: *mut i32, lanes: Self::Vector);
}

/// Multiplies vectors in registers, so many times. The sums are also what is multiplied: a product
/// that stays the same would be computed once.
///
/// # Safety
/// The instructions of `D` are there.
#[inline(always)]
pub unsafe fn multiply_registers<D: Dot>(rounds: u64) {
    // SAFETY: the instructions are there.
    unsafe {
        let value = black_box(D::same(0x0101_0101));
        let mut sums = [D::zero(); CHAINS];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = D::add(*sum, *sum, value);
            }
        }
        black_box(sums);
    }
}

/// AVX2: pairs in 16 bits, which are added up there for a while.
pub struct Maddubs;

/// AVX-VNNI: four products at once, with the registers of AVX.
pub struct Dpbusd;

/// AVX-512 VNNI and VL: the same instruction, and twice the registers.
pub struct Dpbusd256;

/// AVX-512 VNNI.
pub struct Dpbusd512;

// SAFETY: nothing but AVX2 is used.
unsafe impl Dot for Maddubs {
    type Vector = __m256i;
    const LANES: usize = 8;
    const TOKENS: usize = 4;
    const WAITS: bool = false;

    #[inline(always)]
    unsafe fn zero() -> __m256i {
        // SAFETY: see the trait.
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m256i {
        // SAFETY: the caller vouches for 32 bytes; no alignment is asked for.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn same(four: i32) -> __m256i {
        // SAFETY: see the trait.
        unsafe { _mm256_set1_epi32(four) }
    }

    #[inline(always)]
    unsafe fn add(sums: __m256i, unsigned: __m256i, signed: __m256i) -> __m256i {
        // SAFETY: see the trait.
        unsafe { _mm256_add_epi16(sums, _mm256_maddubs_epi16(unsigned, signed)) }
    }

    #[inline(always)]
    unsafe fn add_words(sums: __m256i, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see the trait.
        unsafe { _mm256_add_epi32(sums, _mm256_madd_epi16(a, b)) }
    }

    #[inline(always)]
    unsafe fn begin(_: __m256i) -> __m256i {
        // SAFETY: see the trait.
        unsafe { Self::zero() }
    }

    /// A lane of 16 bits got two products of at most 3 · 128: 30720 in 40 times.
    #[inline(always)]
    unsafe fn widen(before: __m256i, sums: __m256i) -> __m256i {
        // SAFETY: see the trait.
        unsafe { _mm256_add_epi32(before, _mm256_madd_epi16(sums, _mm256_set1_epi16(1))) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut i32, lanes: __m256i) {
        // SAFETY: the caller vouches for eight lanes; no alignment is asked for.
        unsafe { _mm256_storeu_si256(to.cast(), lanes) }
    }
}

/// Defines an instruction that adds four products to a lane of 32 bits at once. A lane stays below
/// 2³¹ for 1.3 million additions of 4 · 3 · 128.
macro_rules! four_at_once {
    (
        $dot:ident: $vector:ty, $lanes:literal lanes, $tokens:literal tokens,
        $zero:ident, $load:ident, $same:ident, $add:ident, $add_words:ident, $store:ident
    ) => {
        // SAFETY: nothing but the instructions named for it is used.
        unsafe impl Dot for $dot {
            type Vector = $vector;
            const LANES: usize = $lanes;
            const TOKENS: usize = $tokens;
            const WAITS: bool = true;

            #[inline(always)]
            unsafe fn zero() -> $vector {
                // SAFETY: see the trait.
                unsafe { $zero() }
            }

            #[inline(always)]
            unsafe fn load(from: *const u8) -> $vector {
                // SAFETY: the caller vouches for a vector's bytes; no alignment is asked for.
                unsafe { $load(from.cast()) }
            }

            #[inline(always)]
            unsafe fn same(four: i32) -> $vector {
                // SAFETY: see the trait.
                unsafe { $same(four) }
            }

            #[inline(always)]
            unsafe fn add(sums: $vector, unsigned: $vector, signed: $vector) -> $vector {
                // SAFETY: see the trait.
                unsafe { $add(sums, unsigned, signed) }
            }

            #[inline(always)]
            unsafe fn add_words(sums: $vector, a: $vector, b: $vector) -> $vector {
                // SAFETY: see the trait.
                unsafe { $add_words(sums, a, b) }
            }

            #[inline(always)]
            unsafe fn begin(before: $vector) -> $vector {
                before
            }

            #[inline(always)]
            unsafe fn widen(_: $vector, sums: $vector) -> $vector {
                sums
            }

            #[inline(always)]
            unsafe fn store(to: *mut i32, lanes: $vector) {
                // SAFETY: the caller vouches for a vector's lanes; no alignment is asked for.
                unsafe { $store(to.cast(), lanes) }
            }
        }
    };
}

four_at_once! {
    Dpbusd: __m256i, 8 lanes, 6 tokens,
    _mm256_setzero_si256, _mm256_loadu_si256, _mm256_set1_epi32,
    _mm256_dpbusd_avx_epi32, _mm256_dpwssd_avx_epi32, _mm256_storeu_si256
}

four_at_once! {
    Dpbusd256: __m256i, 8 lanes, 12 tokens,
    _mm256_setzero_si256, _mm256_loadu_si256, _mm256_set1_epi32,
    _mm256_dpbusd_epi32, _mm256_dpwssd_epi32, _mm256_storeu_si256
}

four_at_once! {
    Dpbusd512: __m512i, 16 lanes, 12 tokens,
    _mm512_setzero_si512, _mm512_loadu_si512, _mm512_set1_epi32,
    _mm512_dpbusd_epi32, _mm512_dpwssd_epi32, _mm512_storeu_si512
}
