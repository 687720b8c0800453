//! The formats in blocks with 256-bit vectors: how each is unpacked and multiplied.

use std::arch::x86_64::*;

use super::blocks::{InBlocks, load, load_16, multiply, tile, values};
use super::dot::Dot;
use super::products;
use crate::encoding::{q6_k, q8_0};
use crate::flavor::{tq1_0, tq2_0};
use crate::kernels::gemm::Block;
use crate::kernels::q8_0::Q8Block;
use crate::kernels::q8_k::Q8K;

/// Defines the products of a format.
macro_rules! in_eight_lanes {
    ($products:ident of $format:ty: $($name:literal),*) => {
        products! {
            $products: <$format as InBlocks>::Activation::FORM, tile,
            multiply of $format, $($name),*
        }
    };
}

in_eight_lanes! {
    TQ1_0 of Tq1_0: "x86_64-avx2-tq1_0", "x86_64-avxvnni-tq1_0", "x86_64-avx512vl-tq1_0"
}
in_eight_lanes! {
    TQ2_0 of Tq2_0: "x86_64-avx2-tq2_0", "x86_64-avxvnni-tq2_0", "x86_64-avx512vl-tq2_0"
}
in_eight_lanes! {
    Q6_K of Q6K: "x86_64-avx2-q6_k", "x86_64-avxvnni-q6_k", "x86_64-avx512vl-q6_k"
}
in_eight_lanes! {
    Q8_0 of Q80: "x86_64-avx2-q8_0", "x86_64-avxvnni-q8_0", "x86_64-avx512vl-q8_0"
}

/// Digits 0 to 2 of a block, plane by plane. A digit 3 of TQ2_0 is one.
type Planes = [__m256i; 8];

/// Sums of digits times activations, less the sums of 16 activations each lane gives back. A lane
/// of 16 bits gets eight times two products of at most 3 · 128.
///
/// # Safety
/// The instructions of `D` and AVX2 are there.
#[inline(always)]
unsafe fn multiply_digits<D: Dot<Vector = __m256i>, const T: usize>(
    planes: &Planes,
    x: [&Q8K; T],
) -> [__m256i; T] {
    // SAFETY: the instructions are there; the array of sums has 32 bytes.
    unsafe {
        let mut sums = [D::begin(D::zero()); T];
        for (p, digits) in planes.iter().enumerate() {
            for (sum, x) in sums.iter_mut().zip(x) {
                *sum = D::add(*sum, *digits, values(&x.values.as_chunks().0[p]));
            }
        }
        for (sum, x) in sums.iter_mut().zip(x) {
            let given_back = _mm256_loadu_si256(x.sums.as_ptr().cast());
            let given_back = _mm256_madd_epi16(given_back, _mm256_set1_epi16(1));
            *sum = _mm256_sub_epi32(D::widen(D::zero(), *sum), given_back);
        }
        sums
    }
}

/// TQ2_0.
struct Tq2_0;

// SAFETY: nothing but AVX2 and what `D` stands for is used.
unsafe impl InBlocks for Tq2_0 {
    type Activation = Q8K;
    type Unpacked = Planes;
    const BYTES: usize = tq2_0::BLOCK_BYTES;
    const FUSED: bool = false;

    #[inline(always)]
    fn scale(block: &[u8]) -> [u8; 2] {
        [block[tq2_0::SCALE_AT], block[tq2_0::SCALE_AT + 1]]
    }

    #[inline(always)]
    fn scale_of(activation: &Q8K) -> f32 {
        activation.scale
    }

    #[inline(always)]
    unsafe fn unpack(block: &[u8]) -> Planes {
        // SAFETY: see the trait.
        unsafe {
            let mut planes = [_mm256_setzero_si256(); 8];
            for (half, planes) in planes.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                let mut codes = load(block, 32 * half);
                for plane in planes {
                    *plane = _mm256_and_si256(codes, _mm256_set1_epi8(3));
                    codes = _mm256_srli_epi16::<2>(codes);
                }
            }
            planes
        }
    }

    #[inline(always)]
    unsafe fn multiply<D: Dot<Vector = __m256i>, const T: usize>(
        block: &Planes,
        x: [&Q8K; T],
    ) -> [__m256i; T] {
        // SAFETY: see the trait.
        unsafe { multiply_digits::<D, T>(block, x) }
    }
}

/// TQ1_0.
struct Tq1_0;

// SAFETY: nothing but AVX2 and what `D` stands for is used.
unsafe impl InBlocks for Tq1_0 {
    type Activation = Q8K;
    type Unpacked = Planes;
    const BYTES: usize = tq1_0::BLOCK_BYTES;
    const FUSED: bool = false;

    #[inline(always)]
    fn scale(block: &[u8]) -> [u8; 2] {
        [block[tq1_0::SCALE_AT], block[tq1_0::SCALE_AT + 1]]
    }

    #[inline(always)]
    fn scale_of(activation: &Q8K) -> f32 {
        activation.scale
    }

    /// 32 bytes of five digits, 16 of five and 4 of four: in the order of the elements.
    #[inline(always)]
    unsafe fn unpack(block: &[u8]) -> Planes {
        let four = block[48..52].first_chunk().expect("four bytes");
        // SAFETY: see the trait.
        unsafe {
            let five = powers_of_three(load(block, 0));
            let middle = powers_of_three(_mm256_broadcastsi128_si256(load_16(block, 32)));
            // Four bytes times 1, 3, 9 and 27, kept to eight bits.
            let four = powers_of_three(_mm256_set1_epi32(i32::from_le_bytes(*four)));
            let four = _mm256_blend_epi32::<0b1010_1010>(
                _mm256_blend_epi32::<0b0100_0100>(four[0], four[2]),
                _mm256_blend_epi32::<0b1000_1000>(four[1], four[3]),
            );
            let fractions = [
                five[0],
                five[1],
                five[2],
                five[3],
                five[4],
                _mm256_blend_epi32::<0b1111_0000>(middle[0], middle[1]),
                _mm256_blend_epi32::<0b1111_0000>(middle[2], middle[3]),
                _mm256_blend_epi32::<0b1111_0000>(middle[4], four),
            ];
            fractions.map(|fraction| first_digits(fraction))
        }
    }

    #[inline(always)]
    unsafe fn multiply<D: Dot<Vector = __m256i>, const T: usize>(
        block: &Planes,
        x: [&Q8K; T],
    ) -> [__m256i; T] {
        // SAFETY: see the trait.
        unsafe { multiply_digits::<D, T>(block, x) }
    }
}

/// Every byte times 1, 3, 9, 27 and 81, modulo 256.
#[inline]
#[target_feature(enable = "avx2")]
fn powers_of_three(bytes: __m256i) -> [__m256i; 5] {
    let mut powers = [bytes; 5];
    for n in 1..5 {
        let last = powers[n - 1];
        powers[n] = _mm256_add_epi8(last, _mm256_add_epi8(last, last));
    }
    powers
}

/// The integer part of 3/256 of every byte: 1 from 86 on, 2 from 171 on.
#[inline]
#[target_feature(enable = "avx2")]
fn first_digits(fractions: __m256i) -> __m256i {
    let from = |least: i8| {
        let at_least = _mm256_max_epu8(fractions, _mm256_set1_epi8(least));
        _mm256_cmpeq_epi8(at_least, fractions)
    };
    let negated = _mm256_add_epi8(from(86), from(171u8.cast_signed()));
    _mm256_sub_epi8(_mm256_setzero_si256(), negated)
}

/// Q8_0.
struct Q80;

// SAFETY: nothing but AVX2 and what `D` stands for is used.
unsafe impl InBlocks for Q80 {
    type Activation = Q8Block;
    type Unpacked = __m256i;
    const BYTES: usize = q8_0::BLOCK_BYTES;
    const FUSED: bool = true;

    #[inline(always)]
    fn scale(block: &[u8]) -> [u8; 2] {
        [block[0], block[1]]
    }

    #[inline(always)]
    fn scale_of(activation: &Q8Block) -> f32 {
        activation.scale
    }

    #[inline(always)]
    unsafe fn unpack(block: &[u8]) -> __m256i {
        // SAFETY: see the trait.
        unsafe { load(block, 2) }
    }

    /// Magnitudes meet signed activations. Two products stay within 16 bits: at most 128 · 127
    /// each, and −128 · 128 where an activation of −128, which has no negative, stays.
    #[inline(always)]
    unsafe fn multiply<D: Dot<Vector = __m256i>, const T: usize>(
        quants: &__m256i,
        x: [&Q8Block; T],
    ) -> [__m256i; T] {
        // SAFETY: see the trait.
        unsafe {
            let magnitudes = _mm256_abs_epi8(*quants);
            let mut sums = [D::zero(); T];
            for (sum, x) in sums.iter_mut().zip(x) {
                let signed = _mm256_sign_epi8(values(&x.values), *quants);
                let products = D::add(D::begin(D::zero()), magnitudes, signed);
                *sum = D::widen(D::zero(), products);
            }
            sums
        }
    }
}

/// Q6_K.
struct Q6K;

/// A block of Q6_K.
struct SixBits {
    /// Elements plus 32, plane by plane.
    planes: Planes,
    /// For every plane the scales of its elements, 16 bits each.
    scales: Planes,
}

// SAFETY: nothing but AVX2 and what `D` stands for is used.
unsafe impl InBlocks for Q6K {
    type Activation = Q8K;
    type Unpacked = SixBits;
    const BYTES: usize = q6_k::BLOCK_BYTES;
    const FUSED: bool = true;

    #[inline(always)]
    fn scale(block: &[u8]) -> [u8; 2] {
        *block.last_chunk().expect("210 bytes")
    }

    #[inline(always)]
    fn scale_of(activation: &Q8K) -> f32 {
        activation.scale
    }

    #[inline(always)]
    unsafe fn unpack(block: &[u8]) -> SixBits {
        // SAFETY: see the trait.
        unsafe {
            let (nibble, pair) = (_mm256_set1_epi8(15), _mm256_set1_epi8(0x30));
            let mut planes = [_mm256_setzero_si256(); 8];
            for (half, planes) in planes.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                let low = [load(block, 64 * half), load(block, 64 * half + 32)];
                let high = load(block, q6_k::HIGH_AT + 32 * half);
                let parts = [
                    (low[0], _mm256_slli_epi16::<4>(high)),
                    (low[1], _mm256_slli_epi16::<2>(high)),
                    (_mm256_srli_epi16::<4>(low[0]), high),
                    (_mm256_srli_epi16::<4>(low[1]), _mm256_srli_epi16::<2>(high)),
                ];
                for (plane, (low, high)) in planes.iter_mut().zip(parts) {
                    let low = _mm256_and_si256(low, nibble);
                    *plane = _mm256_or_si256(low, _mm256_and_si256(high, pair));
                }
            }
            // The first scales of all planes, then the second ones.
            let evens_then_odds =
                _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
            let narrow = _mm_shuffle_epi8(load_16(block, q6_k::SCALES_AT), evens_then_odds);
            let wide = _mm256_cvtepi8_epi16(narrow);
            let mut scales = planes;
            for (p, scale) in scales.iter_mut().enumerate() {
                let both = _mm256_set1_epi16(0x0100 + 0x0202 * p as i16);
                *scale = _mm256_shuffle_epi8(wide, both);
            }
            SixBits { planes, scales }
        }
    }

    /// For one token two products of an element plus 32 stay within 2 · 63 · 128, and what the 32
    /// is too much within 2 · 32 · 128: both fit 16 bits.
    ///
    /// For several, activations are made unsigned by adding 128, and what that is too much is
    /// known beforehand: two products stay within 2 · 32 · 255, which fits 16 bits, and a lane
    /// within 8 · 2 · 16320 · 128 < 2²⁶.
    #[inline(always)]
    unsafe fn multiply<D: Dot<Vector = __m256i>, const T: usize>(
        block: &SixBits,
        x: [&Q8K; T],
    ) -> [__m256i; T] {
        // SAFETY: see the trait.
        unsafe {
            let planes = block.planes.iter().zip(&block.scales).enumerate();
            let (too_many, sign) = (_mm256_set1_epi8(32), _mm256_set1_epi8(-128));
            let mut sums = [D::zero(); T];
            if T == 1 {
                for (p, (plane, scales)) in planes {
                    let values = values(&x[0].values.as_chunks().0[p]);
                    let products = _mm256_sub_epi16(
                        _mm256_maddubs_epi16(*plane, values),
                        _mm256_maddubs_epi16(too_many, values),
                    );
                    sums[0] = D::add_words(sums[0], products, *scales);
                }
                return sums;
            }
            let mut too_much = D::zero();
            for (p, (plane, scales)) in planes {
                let elements = _mm256_sub_epi8(*plane, too_many);
                let products = _mm256_maddubs_epi16(sign, elements);
                too_much = D::add_words(too_much, products, *scales);
                for (sum, x) in sums.iter_mut().zip(x) {
                    let values = _mm256_xor_si256(values(&x.values.as_chunks().0[p]), sign);
                    let products = _mm256_maddubs_epi16(values, elements);
                    *sum = D::add_words(*sum, products, *scales);
                }
            }
            sums.map(|sum| _mm256_sub_epi32(sum, too_much))
        }
    }
}
