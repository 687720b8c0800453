//! TQ1_0 and TQ2_0 with AVX-512 VNNI.

use std::arch::x86_64::*;

use super::pairs;
use crate::kernels::gemm::{Block, Form, Gemm, Inputs, Stored, Tile};
use crate::kernels::q8_k::Q8K;
use crate::pool::Band;

/// A block of two rows: the digits 0 to 2 of elements, plane by plane. A digit 3 of TQ2_0 is one.
type Planes = [__m512i; 8];

/// Sums of digits times activations, less the sums of 16 activations each lane gives back. A lane
/// stays within 32 · 3 · 128 and two of those sums.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
fn multiply<const T: usize>(planes: &Planes, x: [&Q8K; T]) -> [__m512i; T] {
    let zero = _mm512_setzero_si512();
    let mut sums = [zero; T];
    for (sum, x) in sums.iter_mut().zip(x) {
        // SAFETY: the array has 32 bytes, and the load asks for no alignment.
        let given_back = unsafe { _mm256_loadu_si256(x.sums.as_ptr().cast()) };
        let given_back = _mm256_madd_epi16(given_back, _mm256_set1_epi16(1));
        *sum = _mm512_sub_epi32(zero, _mm512_broadcast_i64x4(given_back));
    }
    for (p, digits) in planes.iter().enumerate() {
        for (sum, x) in sums.iter_mut().zip(x) {
            let values = pairs::activations(&x.values.as_chunks().0[p]);
            *sum = _mm512_dpbusd_epi32(*sum, *digits, values);
        }
    }
    sums
}

/// TQ2_0.
pub mod tq2_0 {
    use super::*;
    use crate::flavor::tq2_0;

    pairs::product! {
        /// The product of TQ2_0, in eight lanes.
        "x86_64-avx512vnni-tq2_0", tq2_0::BLOCK_BYTES, Q8K,
        unpack, scale, multiply, rounded
    }

    fn scale(block: &[u8; tq2_0::BLOCK_BYTES]) -> [u8; 2] {
        [block[tq2_0::SCALE_AT], block[tq2_0::SCALE_AT + 1]]
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn unpack(pair: (&[u8; tq2_0::BLOCK_BYTES], &[u8; tq2_0::BLOCK_BYTES])) -> Planes {
        let two_bits = _mm512_set1_epi8(3);
        let mut planes = [_mm512_setzero_si512(); 8];
        for (half, planes) in planes.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let mut codes = pairs::both(pair, 32 * half);
            for plane in planes {
                *plane = _mm512_and_si512(codes, two_bits);
                codes = _mm512_srli_epi16::<2>(codes);
            }
        }
        planes
    }
}

/// TQ1_0.
pub mod tq1_0 {
    use super::*;
    use crate::flavor::tq1_0;

    pairs::product! {
        /// The product of TQ1_0, in eight lanes.
        "x86_64-avx512vnni-tq1_0", tq1_0::BLOCK_BYTES, Q8K,
        unpack, scale, multiply, rounded
    }

    type Pair<'a> = (&'a [u8; tq1_0::BLOCK_BYTES], &'a [u8; tq1_0::BLOCK_BYTES]);

    fn scale(block: &[u8; tq1_0::BLOCK_BYTES]) -> [u8; 2] {
        [block[tq1_0::SCALE_AT], block[tq1_0::SCALE_AT + 1]]
    }

    /// 32 bytes of five digits, 16 of five and 4 of four: in the order of the elements.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn unpack(pair: Pair) -> Planes {
        const UPPER_SIXTEEN: u8 = 0b1100_1100;
        let mut planes = [pairs::both(pair, 0); 8];
        for n in 1..5 {
            planes[n] = times_three(planes[n - 1]);
        }
        let middle = pairs::both_twice(pair, 32);
        planes[5] = _mm512_mask_mov_epi64(middle, UPPER_SIXTEEN, times_three(middle));
        planes[6] = times_three(times_three(planes[5]));
        let last = times_three(times_three(planes[6]));
        planes[7] = _mm512_mask_mov_epi64(last, UPPER_SIXTEEN, four_each(pair));
        for plane in &mut planes {
            *plane = first_digits(*plane);
        }
        planes
    }

    /// The last four bytes times 1, 3, 9 and 27, side by side.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn four_each(pair: Pair) -> __m512i {
        let four = |block: &[u8; tq1_0::BLOCK_BYTES]| {
            i32::from_le_bytes([block[48], block[49], block[50], block[51]])
        };
        let first = _mm512_set1_epi32(four(pair.0));
        let mut bytes = _mm512_mask_set1_epi32(first, 0xff00, four(pair.1));
        for lanes in [
            0b1110_1110_1110_1110,
            0b1100_1100_1100_1100,
            0b1000_1000_1000_1000,
        ] {
            bytes = _mm512_mask_mov_epi32(bytes, lanes, times_three(bytes));
        }
        bytes
    }

    /// Every byte times three, modulo 256.
    #[inline]
    #[target_feature(enable = "avx512bw")]
    fn times_three(bytes: __m512i) -> __m512i {
        _mm512_add_epi8(bytes, _mm512_add_epi8(bytes, bytes))
    }

    /// The integer part of 3/256 of every byte: 1 from 86 on, 2 from 171 on.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn first_digits(fractions: __m512i) -> __m512i {
        let from = |least: i8| _mm512_cmpge_epu8_mask(fractions, _mm512_set1_epi8(least));
        let ones = _mm512_maskz_mov_epi8(from(86), _mm512_set1_epi8(1));
        _mm512_mask_mov_epi8(ones, from(171u8.cast_signed()), _mm512_set1_epi8(2))
    }
}
