//! Q2_K to Q6_K with 256-bit vectors: how each is unpacked and multiplied.

use std::arch::x86_64::*;

use super::blocks::{
    self, AddedWhole, InBlocks, InLanes, Whole, in_blocks, load, load_16, sum_integers, words,
};
use super::dot::Dot;
use super::scaled::{Scaled, add_bits, two_bits};
use crate::encoding::q4_k::{self, Layout};
use crate::encoding::{q2_k, q3_k, q6_k};
use crate::kernels::q8_k::Q8K;

in_blocks! { Q2_K of InLanes<Q2K>: "q2_k" }
in_blocks! { Q3_K of InLanes<Q3K>: "q3_k" }
in_blocks! { Q4_K of InLanes<OfEightGroups<4>>: "q4_k" }
in_blocks! { Q5_K of InLanes<OfEightGroups<5>>: "q5_k" }
in_blocks! { Q6_K of InLanes<Q6K>: "q6_k" }

in_blocks! { Q2_K_WHOLE of Whole<Q2K>: "q2_k-whole_blocks" }
in_blocks! { Q3_K_WHOLE of Whole<Q3K>: "q3_k-whole_blocks" }
in_blocks! { Q4_K_WHOLE of Whole<OfEightGroups<4>>: "q4_k-whole_blocks" }
in_blocks! { Q5_K_WHOLE of Whole<OfEightGroups<5>>: "q5_k-whole_blocks" }
in_blocks! { Q6_K_WHOLE of Whole<Q6K>: "q6_k-whole_blocks" }

/// Q2_K.
struct Q2K;

/// A block of Q2_K.
struct TwoBits {
    scaled: Scaled,
    /// What is taken off, 16 bits each.
    offsets: __m256i,
    /// What that is multiplied by.
    offset: f32,
}

// SAFETY: nothing but AVX2, FMA, F16C and what `D` stands for is used.
unsafe impl InBlocks for Q2K {
    type Activation = Q8K;
    type Unpacked = TwoBits;
    type Beside = ();
    const BYTES: usize = q2_k::BLOCK_BYTES;
    const FUSED: bool = true;

    #[inline(always)]
    fn scale(block: &[u8]) -> [u8; 2] {
        [block[q2_k::SCALE_AT], block[q2_k::SCALE_AT + 1]]
    }

    #[inline(always)]
    unsafe fn unpack(block: &[u8]) -> TwoBits {
        // SAFETY: see the trait.
        unsafe {
            let (both, nibble) = (load_16(block, 0), _mm_set1_epi8(15));
            let offset = [block[q2_k::OFFSET_AT], block[q2_k::OFFSET_AT + 1]];
            let offsets = _mm_and_si128(_mm_srli_epi16::<4>(both), nibble);
            TwoBits {
                scaled: Scaled::new(
                    two_bits(block, q2_k::QUANTS_AT),
                    _mm_and_si128(both, nibble),
                ),
                offsets: _mm256_cvtepi8_epi16(offsets),
                offset: _mm256_cvtss_f32(blocks::half(offset)),
            }
        }
    }

    #[inline(always)]
    unsafe fn multiply<D: Dot<Vector = __m256i>, const T: usize>(
        block: &TwoBits,
        x: [&Q8K; T],
    ) -> [__m256i; T] {
        // SAFETY: see the trait.
        unsafe { block.scaled.multiply::<D, T>(x) }
    }

    /// Of every lane two groups.
    #[inline(always)]
    unsafe fn offset(block: &TwoBits, x: &Q8K, lanes: &mut __m256, _: &mut ()) {
        // SAFETY: see the trait.
        unsafe {
            let sums = _mm256_cvtepi32_ps(_mm256_madd_epi16(block.offsets, words(&x.sums)));
            let scale = _mm256_set1_ps(-x.scale * block.offset);
            *lanes = _mm256_fmadd_ps(scale, sums, *lanes);
        }
    }
}

// SAFETY: nothing but AVX2 is used.
unsafe impl AddedWhole for Q2K {
    #[inline(always)]
    unsafe fn added(sum: f32, (scale, integers): (f32, f32), block: &TwoBits, x: &Q8K) -> f32 {
        // SAFETY: see the trait.
        let offsets = unsafe { sum_integers(_mm256_madd_epi16(block.offsets, words(&x.sums))) };
        let sum = (-x.scale * block.offset).mul_add(offsets as f32, sum);
        scale.mul_add(integers, sum)
    }
}

/// Q3_K.
struct Q3K;

// SAFETY: nothing but AVX2 and what `D` stands for is used.
unsafe impl InBlocks for Q3K {
    type Activation = Q8K;
    type Unpacked = Scaled;
    type Beside = ();
    const BYTES: usize = q3_k::BLOCK_BYTES;
    const FUSED: bool = true;

    #[inline(always)]
    fn scale(block: &[u8]) -> [u8; 2] {
        *block.last_chunk().expect("110 bytes")
    }

    #[inline(always)]
    unsafe fn unpack(block: &[u8]) -> Scaled {
        let (low, high) = block[q3_k::SCALES_AT..].split_at(8);
        let low = i64::from_le_bytes(low.try_into().expect("eight bytes"));
        let high = i32::from_le_bytes(*high.first_chunk().expect("four bytes"));
        // SAFETY: see the trait.
        unsafe {
            let mut planes = two_bits(block, q3_k::LOW_AT);
            add_bits(&mut planes, load(block, 0), 4);
            let low = _mm_and_si128(_mm_set_epi64x(low >> 4, low), _mm_set1_epi8(15));
            let high = _mm_srlv_epi32(_mm_set1_epi32(high), _mm_setr_epi32(0, 2, 4, 6));
            let high = _mm_and_si128(high, _mm_set1_epi8(3));
            let scales = _mm_or_si128(low, _mm_slli_epi16::<4>(high));
            Scaled::new(planes, _mm_sub_epi8(scales, _mm_set1_epi8(32)))
        }
    }

    #[inline(always)]
    unsafe fn multiply<D: Dot<Vector = __m256i>, const T: usize>(
        block: &Scaled,
        x: [&Q8K; T],
    ) -> [__m256i; T] {
        // SAFETY: see the trait.
        unsafe { block.multiply_less::<D, 3, T>(x) }
    }
}

// SAFETY: nothing is used.
unsafe impl AddedWhole for Q3K {}

/// Q4_K or Q5_K.
struct OfEightGroups<const BITS: u32>;

/// A block of theirs.
struct Grouped {
    scaled: Scaled,
    /// What is taken off, 32 bits each.
    offsets: __m256i,
    /// What that is multiplied by.
    offset: f32,
}

impl Grouped {
    /// The offset of each group times the sum of its activations.
    ///
    /// # Safety
    /// There is AVX2.
    #[inline(always)]
    unsafe fn offsets_of(&self, x: &Q8K) -> __m256i {
        // SAFETY: the instructions are there.
        unsafe {
            let sums = _mm256_madd_epi16(words(&x.sums), _mm256_set1_epi16(1));
            _mm256_mullo_epi32(sums, self.offsets)
        }
    }
}

impl<const BITS: u32> OfEightGroups<BITS> {
    const LAYOUT: Layout = if BITS == 4 { q4_k::Q4_K } else { q4_k::Q5_K };
}

// SAFETY: nothing but AVX2, FMA, F16C and what `D` stands for is used.
unsafe impl<const BITS: u32> InBlocks for OfEightGroups<BITS> {
    type Activation = Q8K;
    type Unpacked = Grouped;
    /// Four sums of pairs of groups for four bits, one of all for five.
    type Beside = [f32; 4];
    const BYTES: usize = Self::LAYOUT.block_bytes();
    const FUSED: bool = true;

    #[inline(always)]
    fn scale(block: &[u8]) -> [u8; 2] {
        [block[0], block[1]]
    }

    #[inline(always)]
    unsafe fn unpack(block: &[u8]) -> Grouped {
        let (scales, offsets) = q4_k::groups(block);
        // SAFETY: see the trait.
        unsafe {
            let mut planes = [_mm256_setzero_si256(); 8];
            for (p, pair) in planes.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                let (low, nibble) = (
                    load(block, Self::LAYOUT.low_at() + 32 * p),
                    _mm256_set1_epi8(15),
                );
                pair[0] = _mm256_and_si256(low, nibble);
                pair[1] = _mm256_and_si256(_mm256_srli_epi16::<4>(low), nibble);
            }
            if BITS == 5 {
                add_bits(&mut planes, load(block, q4_k::FIFTH_AT), 16);
            }
            let scales = _mm_cvtsi64_si128(scales.cast_signed());
            let offsets = _mm_cvtsi64_si128(offsets.cast_signed());
            Grouped {
                scaled: Scaled::new(planes, _mm_unpacklo_epi8(scales, scales)),
                offsets: _mm256_cvtepi8_epi32(offsets),
                offset: _mm256_cvtss_f32(blocks::half([block[2], block[3]])),
            }
        }
    }

    #[inline(always)]
    unsafe fn multiply<D: Dot<Vector = __m256i>, const T: usize>(
        block: &Grouped,
        x: [&Q8K; T],
    ) -> [__m256i; T] {
        // SAFETY: see the trait.
        unsafe { block.scaled.multiply::<D, T>(x) }
    }

    #[inline(always)]
    unsafe fn offset(block: &Grouped, x: &Q8K, _: &mut __m256, beside: &mut [f32; 4]) {
        let scale = -x.scale * block.offset;
        // SAFETY: see the trait; the array is as long as a vector.
        unsafe {
            let groups = block.offsets_of(x);
            let pairs = _mm256_hadd_epi32(groups, groups);
            let (low, high) = (
                _mm256_castsi256_si128(pairs),
                _mm256_extracti128_si256::<1>(pairs),
            );
            let pairs = _mm_unpacklo_epi64(low, high);
            if BITS == 4 {
                let sums = _mm_loadu_ps(beside.as_ptr());
                let sums = _mm_fmadd_ps(_mm_set1_ps(scale), _mm_cvtepi32_ps(pairs), sums);
                _mm_storeu_ps(beside.as_mut_ptr(), sums);
            } else {
                let two = _mm_hadd_epi32(pairs, pairs);
                let all = _mm_cvtsi128_si32(_mm_hadd_epi32(two, two));
                beside[0] = scale.mul_add(all as f32, beside[0]);
            }
        }
    }

    #[inline(always)]
    fn output(lanes: f32, [a, b, c, d]: [f32; 4]) -> f32 {
        if BITS == 4 {
            lanes + ((a + c) + (b + d))
        } else {
            lanes + a
        }
    }
}

// SAFETY: nothing but AVX2 is used.
unsafe impl<const BITS: u32> AddedWhole for OfEightGroups<BITS> {
    /// With four bits the offsets leave the sum, with five the products of their block.
    #[inline(always)]
    unsafe fn added(sum: f32, (scale, integers): (f32, f32), block: &Grouped, x: &Q8K) -> f32 {
        // SAFETY: see the trait.
        let offsets = unsafe { sum_integers(block.offsets_of(x)) } as f32;
        let offset = x.scale * block.offset;
        if BITS == 4 {
            scale.mul_add(integers, (-offset).mul_add(offsets, sum))
        } else {
            sum + scale.mul_add(integers, -(offset * offsets))
        }
    }
}

/// Q6_K.
struct Q6K;

// SAFETY: nothing but AVX2 and what `D` stands for is used.
unsafe impl InBlocks for Q6K {
    type Activation = Q8K;
    type Unpacked = Scaled;
    type Beside = ();
    const BYTES: usize = q6_k::BLOCK_BYTES;
    const FUSED: bool = true;

    #[inline(always)]
    fn scale(block: &[u8]) -> [u8; 2] {
        *block.last_chunk().expect("210 bytes")
    }

    #[inline(always)]
    unsafe fn unpack(block: &[u8]) -> Scaled {
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
            Scaled::new(planes, load_16(block, q6_k::SCALES_AT))
        }
    }

    #[inline(always)]
    unsafe fn multiply<D: Dot<Vector = __m256i>, const T: usize>(
        block: &Scaled,
        x: [&Q8K; T],
    ) -> [__m256i; T] {
        // SAFETY: see the trait.
        unsafe { block.multiply_less::<D, 0, T>(x) }
    }
}

// SAFETY: nothing is used.
unsafe impl AddedWhole for Q6K {}
