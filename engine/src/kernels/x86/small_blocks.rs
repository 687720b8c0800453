//! Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0 with 256-bit vectors: how each is unpacked and multiplied.

use std::arch::x86_64::*;

use super::blocks::{self, InBlocks, InLanes, in_blocks, load, load_16, values};
use super::dot::Dot;
use crate::encoding::blocks_of_32::Layout;
use crate::encoding::{blocks_of_32, q8_0};
use crate::kernels::q8_0::Q8Block;
use crate::kernels::q8_1::Q8Sum;

in_blocks! { Q4_0 of InLanes<AroundZero<4>>: "q4_0" }
in_blocks! { Q5_0 of InLanes<AroundZero<5>>: "q5_0" }
in_blocks! { Q8_0 of InLanes<AroundZero<8>>: "q8_0" }
in_blocks! { Q4_1 of InLanes<AboveMinimum<4>>: "q4_1" }
in_blocks! { Q5_1 of InLanes<AboveMinimum<5>>: "q5_1" }

/// Elements of four bits, or of five, as they are stored: from zero on.
///
/// # Safety
/// There is AVX2.
#[inline(always)]
unsafe fn elements(layout: Layout, block: &[u8]) -> __m256i {
    // SAFETY: the instructions are there.
    unsafe {
        let low = load_16(block, layout.low_at());
        let both = _mm256_set_m128i(_mm_srli_epi16::<4>(low), low);
        let low = _mm256_and_si256(both, _mm256_set1_epi8(15));
        if layout.bits == 4 {
            return low;
        }
        let fifth = block[layout.fifth_at()..]
            .first_chunk()
            .expect("four bytes");
        // Every byte of bits eight times, then of each the one that is its element's.
        let spread = _mm256_shuffle_epi8(
            _mm256_set1_epi32(i32::from_le_bytes(*fifth)),
            _mm256_setr_epi64x(
                0,
                0x0101_0101_0101_0101,
                0x0202_0202_0202_0202,
                0x0303_0303_0303_0303,
            ),
        );
        let own = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64.cast_signed());
        let is_set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, own), own);
        _mm256_or_si256(low, _mm256_and_si256(is_set, _mm256_set1_epi8(16)))
    }
}

/// Signed elements of so many bits.
pub struct AroundZero<const BITS: u32>;

// SAFETY: nothing but AVX2 and what `D` stands for is used.
unsafe impl<const BITS: u32> InBlocks for AroundZero<BITS> {
    type Activation = Q8Block;
    type Unpacked = __m256i;
    type Beside = ();
    const BYTES: usize = match BITS {
        4 => blocks_of_32::Q4_0.block_bytes(),
        5 => blocks_of_32::Q5_0.block_bytes(),
        _ => q8_0::BLOCK_BYTES,
    };
    const FUSED: bool = true;

    #[inline(always)]
    fn scale(block: &[u8]) -> [u8; 2] {
        [block[0], block[1]]
    }

    #[inline(always)]
    unsafe fn unpack(block: &[u8]) -> __m256i {
        // SAFETY: see the trait.
        unsafe {
            match BITS {
                4 => {
                    let elements = elements(blocks_of_32::Q4_0, block);
                    _mm256_sub_epi8(elements, _mm256_set1_epi8(8))
                }
                5 => {
                    let elements = elements(blocks_of_32::Q5_0, block);
                    _mm256_sub_epi8(elements, _mm256_set1_epi8(16))
                }
                _ => load(block, 2),
            }
        }
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

/// Elements of so many bits from zero on, and a minimum.
pub struct AboveMinimum<const BITS: u32>;

impl<const BITS: u32> AboveMinimum<BITS> {
    const LAYOUT: Layout = if BITS == 4 {
        blocks_of_32::Q4_1
    } else {
        blocks_of_32::Q5_1
    };
}

// SAFETY: nothing but AVX2, FMA, F16C and what `D` stands for is used.
unsafe impl<const BITS: u32> InBlocks for AboveMinimum<BITS> {
    type Activation = Q8Sum;
    /// The elements and the minimum.
    type Unpacked = (__m256i, f32);
    type Beside = f32;
    const BYTES: usize = Self::LAYOUT.block_bytes();
    const FUSED: bool = true;

    #[inline(always)]
    fn scale(block: &[u8]) -> [u8; 2] {
        [block[0], block[1]]
    }

    #[inline(always)]
    unsafe fn unpack(block: &[u8]) -> (__m256i, f32) {
        // SAFETY: see the trait.
        unsafe {
            let minimum = _mm256_cvtss_f32(blocks::half([block[2], block[3]]));
            (elements(Self::LAYOUT, block), minimum)
        }
    }

    /// Two products stay within 2 · 31 · 128.
    #[inline(always)]
    unsafe fn multiply<D: Dot<Vector = __m256i>, const T: usize>(
        (elements, _): &(__m256i, f32),
        x: [&Q8Sum; T],
    ) -> [__m256i; T] {
        // SAFETY: see the trait.
        unsafe {
            let mut sums = [D::zero(); T];
            for (sum, x) in sums.iter_mut().zip(x) {
                let values = values(&x.block.values);
                let products = D::add(D::begin(D::zero()), *elements, values);
                *sum = D::widen(D::zero(), products);
            }
            sums
        }
    }

    #[inline(always)]
    unsafe fn offset((_, minimum): &(__m256i, f32), x: &Q8Sum, _: &mut __m256, minima: &mut f32) {
        *minima = minimum.mul_add(x.sum, *minima);
    }

    #[inline(always)]
    fn output(lanes: f32, minima: f32) -> f32 {
        lanes + minima
    }
}
