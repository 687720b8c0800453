//! The inner loops for x86-64 with AVX2.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use crate::flavor::i2_s_p128::{BLOCK, BLOCK_BYTES};

/// Proof that this CPU has AVX2: it cannot be made where it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx2(());

impl Avx2 {
    /// The proof, if there is one.
    pub fn new() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Avx2(()))
    }

    /// See [`super::scalar::ternary_dot`].
    pub fn ternary_dot(self, packed: &[u8], activations: &[i8]) -> i32 {
        // SAFETY: `self` exists only where `new` found AVX2.
        unsafe { ternary_dot(packed, activations) }
    }
}

/// Blocks between two widenings to 32 bits. One block adds to a 16-bit lane four planes of two
/// products, each at most 3 · 128: 3072 a block, 24576 in eight, so no lane wraps.
const BLOCKS_BETWEEN_WIDENINGS: usize = 8;

#[target_feature(enable = "avx2")]
fn ternary_dot(packed: &[u8], activations: &[i8]) -> i32 {
    let blocks = packed.as_chunks::<BLOCK_BYTES>().0;
    let activations = activations.as_chunks::<BLOCK>().0;
    let two_bits = _mm256_set1_epi8(3);
    let mut wide = _mm256_setzero_si256();
    let groups = blocks
        .chunks(BLOCKS_BETWEEN_WIDENINGS)
        .zip(activations.chunks(BLOCKS_BETWEEN_WIDENINGS));
    for (blocks, activations) in groups {
        let mut narrow = _mm256_setzero_si256();
        for (bytes, values) in blocks.iter().zip(activations) {
            let codes = load_codes(bytes);
            let values = values.as_chunks::<BLOCK_BYTES>().0;
            let planes = [
                _mm256_srli_epi16::<6>(codes),
                _mm256_srli_epi16::<4>(codes),
                _mm256_srli_epi16::<2>(codes),
                codes,
            ];
            for (plane, values) in planes.into_iter().zip(values) {
                let plane = _mm256_and_si256(plane, two_bits);
                let products = _mm256_maddubs_epi16(plane, load_values(values));
                narrow = _mm256_add_epi16(narrow, products);
            }
        }
        let widened = _mm256_madd_epi16(narrow, _mm256_set1_epi16(1));
        wide = _mm256_add_epi32(wide, widened);
    }
    horizontal_sum(wide)
}

#[target_feature(enable = "avx2")]
fn horizontal_sum(lanes: __m256i) -> i32 {
    let quad = _mm_add_epi32(
        _mm256_castsi256_si128(lanes),
        _mm256_extracti128_si256::<1>(lanes),
    );
    let pair = _mm_add_epi32(quad, _mm_unpackhi_epi64(quad, quad));
    let one = _mm_add_epi32(pair, _mm_shuffle_epi32::<1>(pair));
    _mm_cvtsi128_si32(one)
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_codes(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: the reference vouches for 32 readable bytes, and the load asks for no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_values(values: &[i8; 32]) -> __m256i {
    // SAFETY: the reference vouches for 32 readable bytes, and the load asks for no alignment.
    unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
}
