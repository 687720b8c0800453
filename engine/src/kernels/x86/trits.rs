//! TQ1_0 and TQ2_0 with 256-bit vectors: how each is unpacked and multiplied.

use std::arch::x86_64::*;

use super::blocks::{
    self, AddedWhole, InBlocks, InLanes, Planes, Whole, in_blocks, load, load_16, values,
};
use super::dot::Dot;
use crate::flavor::{tq1_0, tq2_0};
use crate::kernels::q8_k::Q8K;

in_blocks! { TQ1_0 of InLanes<Tq1_0>: "tq1_0" }
in_blocks! { TQ2_0 of InLanes<Tq2_0>: "tq2_0" }

in_blocks! { TQ1_0_WHOLE of Whole<Tq1_0>: "tq1_0-whole_blocks" }
in_blocks! { TQ2_0_WHOLE of Whole<Tq2_0>: "tq2_0-whole_blocks" }

/// Sums of digits times activations, less the sums of 16 activations each lane gives back. Digits
/// are 0 to 2, in TQ2_0 a 3, too: a lane of 16 bits gets eight times two products of at most
/// 3 · 128.
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
    type Beside = ();
    const BYTES: usize = tq2_0::BLOCK_BYTES;
    const FUSED: bool = false;

    #[inline(always)]
    fn scale(block: &[u8]) -> [u8; 2] {
        [block[tq2_0::SCALE_AT], block[tq2_0::SCALE_AT + 1]]
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

// SAFETY: nothing is used.
unsafe impl AddedWhole for Tq2_0 {}

/// TQ1_0.
struct Tq1_0;

// SAFETY: nothing but AVX2 and what `D` stands for is used.
unsafe impl InBlocks for Tq1_0 {
    type Activation = Q8K;
    type Unpacked = Planes;
    type Beside = ();
    const BYTES: usize = tq1_0::BLOCK_BYTES;
    const FUSED: bool = false;

    #[inline(always)]
    fn scale(block: &[u8]) -> [u8; 2] {
        [block[tq1_0::SCALE_AT], block[tq1_0::SCALE_AT + 1]]
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

// SAFETY: nothing is used.
unsafe impl AddedWhole for Tq1_0 {}

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
