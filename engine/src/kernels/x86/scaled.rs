//! Blocks of 256 elements under scales of 16, in planes of 32: what the k-quants are unpacked to.

use std::arch::x86_64::*;

use super::blocks::{Planes, load, values, words};
use super::dot::Dot;
use crate::kernels::q8_k::Q8K;

/// Elements as they are stored, from zero on, with their scales.
pub struct Scaled {
    elements: Planes,
    /// For every plane the scales of its elements, 16 bits each.
    scales: Planes,
}

impl Scaled {
    /// Elements under sixteen scales of eight bits.
    ///
    /// # Safety
    /// There is AVX2.
    #[inline(always)]
    pub unsafe fn new(elements: Planes, scales: __m128i) -> Self {
        // SAFETY: the instructions are there.
        unsafe {
            // The first scales of all planes, then the second ones.
            let evens_then_odds =
                _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
            let wide = _mm256_cvtepi8_epi16(_mm_shuffle_epi8(scales, evens_then_odds));
            let mut scales = elements;
            for (p, scale) in scales.iter_mut().enumerate() {
                let both = _mm256_set1_epi16(0x0100 + 0x0202 * p as i16);
                *scale = _mm256_shuffle_epi8(wide, both);
            }
            Scaled { elements, scales }
        }
    }

    /// Sums of elements times scales times activations. Two products of an element, at most 31,
    /// stay within 2 · 31 · 128, which fits 16 bits.
    ///
    /// # Safety
    /// The instructions of `D` and AVX2 are there.
    #[inline(always)]
    pub unsafe fn multiply<D: Dot<Vector = __m256i>, const T: usize>(
        &self,
        x: [&Q8K; T],
    ) -> [__m256i; T] {
        // SAFETY: the instructions are there.
        unsafe {
            let mut sums = [D::zero(); T];
            for (p, (plane, scales)) in self.elements.iter().zip(&self.scales).enumerate() {
                for (sum, x) in sums.iter_mut().zip(x) {
                    let values = values(&x.values.as_chunks().0[p]);
                    *sum = D::add_words(*sum, _mm256_maddubs_epi16(*plane, values), *scales);
                }
            }
            sums
        }
    }

    /// The same where every element is too large by 32 ≫ `SHIFT`.
    ///
    /// For one token two products of an element stay within 2 · 63 · 128, and less what is too much
    /// within 2 · 32 · 128: both fit 16 bits.
    ///
    /// For several, activations are made unsigned by adding 128, and what that is too much is
    /// known beforehand: two products stay within 2 · 32 · 255, which fits 16 bits, and a lane
    /// within 8 · 2 · 16320 · 128 < 2²⁶.
    ///
    /// # Safety
    /// The instructions of `D` and AVX2 are there.
    #[inline(always)]
    pub unsafe fn multiply_less<D: Dot<Vector = __m256i>, const SHIFT: i32, const T: usize>(
        &self,
        x: [&Q8K; T],
    ) -> [__m256i; T] {
        // SAFETY: the instructions are there.
        unsafe {
            let planes = self.elements.iter().zip(&self.scales).enumerate();
            let mut sums = [D::zero(); T];
            if T == 1 {
                for (p, (plane, scales)) in planes {
                    let products =
                        _mm256_maddubs_epi16(*plane, values(&x[0].values.as_chunks().0[p]));
                    let less = _mm256_srai_epi16::<SHIFT>(words(&x[0].less.as_chunks().0[p]));
                    sums[0] = D::add_words(sums[0], _mm256_add_epi16(products, less), *scales);
                }
                return sums;
            }
            let (too_large, sign) = (_mm256_set1_epi8(32 >> SHIFT), _mm256_set1_epi8(-128));
            let mut too_much = D::zero();
            for (p, (plane, scales)) in planes {
                let elements = _mm256_sub_epi8(*plane, too_large);
                let products = _mm256_maddubs_epi16(sign, elements);
                too_much = D::add_words(too_much, products, *scales);
                for (sum, x) in sums.iter_mut().zip(x) {
                    let values = _mm256_xor_si256(values(&x.values.as_chunks().0[p]), sign);
                    let products = _mm256_maddubs_epi16(values, elements);
                    *sum = D::add_words(*sum, products, *scales);
                }
            }
            // In place: an array that is returned anew would not stay in registers.
            for sum in &mut sums {
                *sum = _mm256_sub_epi32(*sum, too_much);
            }
            sums
        }
    }
}

/// Sixty-four bytes as eight planes of two bits.
///
/// # Safety
/// There is AVX2.
#[inline(always)]
pub unsafe fn two_bits(block: &[u8], at: usize) -> Planes {
    // SAFETY: the instructions are there.
    unsafe {
        let mut planes = [_mm256_setzero_si256(); 8];
        for (half, planes) in planes.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let mut codes = load(block, at + 32 * half);
            for plane in planes {
                *plane = _mm256_and_si256(codes, _mm256_set1_epi8(3));
                codes = _mm256_srli_epi16::<2>(codes);
            }
        }
        planes
    }
}

/// Sets a bit of elements where 32 bytes have bit `p` for plane `p`.
///
/// # Safety
/// There is AVX2.
#[inline(always)]
pub unsafe fn add_bits(planes: &mut Planes, bits: __m256i, bit: i8) {
    // SAFETY: the instructions are there.
    unsafe {
        for (p, plane) in planes.iter_mut().enumerate() {
            let own = _mm256_set1_epi8((1u8 << p).cast_signed());
            let is_set = _mm256_cmpeq_epi8(_mm256_and_si256(bits, own), own);
            *plane = _mm256_or_si256(*plane, _mm256_and_si256(is_set, _mm256_set1_epi8(bit)));
        }
    }
}
