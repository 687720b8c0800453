//! Q6_K with AVX-512 VNNI.

use std::arch::x86_64::*;

use super::pairs;
use crate::encoding::q6_k;
use crate::kernels::gemm::{Block, Form, Gemm, Inputs, Stored, Tile};
use crate::kernels::q8_k::Q8K;
use crate::pool::Band;

pairs::product! {
    /// The product of Q6_K, in eight lanes.
    "x86_64-avx512vnni-q6_k", q6_k::BLOCK_BYTES, Q8K,
    unpack, scale, multiply, fused
}

/// A block of two rows.
struct Unpacked {
    /// Elements plus 32, plane by plane.
    planes: [__m512i; 8],
    /// For every plane the scales of its elements, 16 bits each.
    scales: [__m512i; 8],
}

fn scale(block: &[u8; q6_k::BLOCK_BYTES]) -> [u8; 2] {
    let (_, scale) = block.split_last_chunk().expect("210 bytes");
    *scale
}

type Pair<'a> = (&'a [u8; q6_k::BLOCK_BYTES], &'a [u8; q6_k::BLOCK_BYTES]);

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn unpack(pair: Pair) -> Unpacked {
    let zero = _mm512_setzero_si512();
    let (nibble, two_bits) = (_mm512_set1_epi8(15), _mm512_set1_epi8(0x30));
    let mut planes = [zero; 8];
    for half in 0..2 {
        let low = [
            pairs::both(pair, half * 64),
            pairs::both(pair, half * 64 + 32),
        ];
        let high = pairs::both(pair, q6_k::HIGH_AT + half * 32);
        let parts = [
            (low[0], _mm512_slli_epi16::<4>(high)),
            (low[1], _mm512_slli_epi16::<2>(high)),
            (_mm512_srli_epi16::<4>(low[0]), high),
            (_mm512_srli_epi16::<4>(low[1]), _mm512_srli_epi16::<2>(high)),
        ];
        for (plane, (low, high)) in planes[4 * half..].iter_mut().zip(parts) {
            let low = _mm512_and_si512(low, nibble);
            // The two bits of `high`, or `low`.
            *plane = _mm512_ternarylogic_epi32::<0xea>(high, two_bits, low);
        }
    }
    let narrow = pairs::both_twice(pair, q6_k::SCALES_AT);
    let wide = _mm512_inserti64x4::<1>(
        _mm512_castsi256_si512(_mm256_cvtepi8_epi16(_mm512_castsi512_si128(narrow))),
        _mm256_cvtepi8_epi16(_mm512_extracti32x4_epi32::<2>(narrow)),
    );
    // Eight lanes each: the first two scales of the one row and of the other.
    let first = _mm512_set_epi64(
        0x0011_0011_0011_0011,
        0x0011_0011_0011_0011,
        0x0010_0010_0010_0010,
        0x0010_0010_0010_0010,
        0x0001_0001_0001_0001,
        0x0001_0001_0001_0001,
        0,
        0,
    );
    let mut scales = [zero; 8];
    for (p, scale) in scales.iter_mut().enumerate() {
        let index = _mm512_add_epi16(first, _mm512_set1_epi16(2 * p as i16));
        *scale = _mm512_permutexvar_epi16(index, wide);
    }
    Unpacked { planes, scales }
}

/// Sums of elements times scales times activations.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn multiply<const T: usize>(block: &Unpacked, x: [&Q8K; T]) -> [__m512i; T] {
    if T == 1 {
        [multiply_one(block, x[0]); T]
    } else {
        multiply_some(block, x)
    }
}

/// Two products of an element plus 32 stay within 2 · 63 · 128, and what the 32 is too much
/// within 2 · 32 · 128: both fit 16 bits.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn multiply_one(block: &Unpacked, x: &Q8K) -> __m512i {
    let mut sum = _mm512_setzero_si512();
    let planes = block.planes.iter().zip(&block.scales);
    for ((plane, scales), values) in planes.zip(x.values.as_chunks().0) {
        let values = pairs::activations(values);
        let products = _mm512_sub_epi16(
            _mm512_maddubs_epi16(*plane, values),
            _mm512_maddubs_epi16(_mm512_set1_epi8(32), values),
        );
        sum = _mm512_dpwssd_epi32(sum, products, *scales);
    }
    sum
}

/// For several tokens activations are made unsigned by adding 128, and what that is too much is
/// known beforehand: two products stay within 2 · 32 · 255, which fits 16 bits, and a lane within
/// 8 · 2 · 16320 · 128 < 2²⁶.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn multiply_some<const T: usize>(block: &Unpacked, x: [&Q8K; T]) -> [__m512i; T] {
    let mut too_much = _mm512_setzero_si512();
    let mut elements = block.planes;
    for (plane, scales) in elements.iter_mut().zip(&block.scales) {
        *plane = _mm512_sub_epi8(*plane, _mm512_set1_epi8(32));
        let products = _mm512_maddubs_epi16(_mm512_set1_epi8(-128), *plane);
        too_much = _mm512_dpwssd_epi32(too_much, products, *scales);
    }
    let mut sums = [_mm512_sub_epi32(_mm512_setzero_si512(), too_much); T];
    for (p, (plane, scales)) in elements.iter().zip(&block.scales).enumerate() {
        for (sum, x) in sums.iter_mut().zip(x) {
            let values = pairs::activations(&x.values.as_chunks().0[p]);
            let values = _mm512_xor_si512(values, _mm512_set1_epi8(-128));
            let products = _mm512_maddubs_epi16(values, *plane);
            *sum = _mm512_dpwssd_epi32(*sum, products, *scales);
        }
    }
    sums
}
