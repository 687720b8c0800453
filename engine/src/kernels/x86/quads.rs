//! Blocks of 32 in the order of aarch64 with 256-bit vectors: four lanes for the even blocks and
//! four for the odd ones, those of [`Quads`], or four for all of them.
//!
//! Elements and activations are multiplied as words of 16 bits, whose products are exact whatever
//! the two are: the order of x86, which moves signs, is another for an activation of −128.

use std::arch::x86_64::*;
use std::marker::PhantomData;

use super::blocks::{self, InBlocks, Order, half, in_blocks, prefetch, sum_integers, values};
use super::dot::Dot;
use super::small_blocks::{AboveMinimum, AroundZero};
use crate::kernels::gemm::Block;
use crate::kernels::q8_0::Q8Block;
use crate::kernels::q8_1::Q8Sum;
use crate::kernels::whole_blocks::{Quads, TILES_FROM};

in_blocks! { Q4_0 of InQuads<AroundZero<4>>: "q4_0-whole_blocks" }
in_blocks! { Q5_0 of InQuads<AroundZero<5>>: "q5_0-whole_blocks" }
in_blocks! { Q8_0 of InQuads<AroundZero<8>>: "q8_0-whole_blocks" }
in_blocks! { Q4_1 of InQuads<AboveMinimum<4>>: "q4_1-whole_blocks" }
in_blocks! { Q5_1 of InQuads<AboveMinimum<5>>: "q5_1-whole_blocks" }

/// Blocks in four lanes.
pub struct InQuads<F>(PhantomData<F>);

/// A format of blocks of 32, and how its sums end.
///
/// # Safety
/// As for [`InBlocks`].
pub unsafe trait OfQuads: InBlocks {
    /// Whether so many tokens are tiles, which have no odd blocks.
    fn are_tiles(_together: usize) -> bool {
        false
    }
    /// The elements of a block.
    fn elements(block: &Self::Unpacked) -> __m256i;
    /// The activations of a block.
    fn values(x: &Self::Activation) -> &[i8; 32];
    /// Adds what the minima of an even and an odd block make of a token's activations.
    #[inline(always)]
    fn minima(_pair: [&Self::Unpacked; 2], _x: [&Self::Activation; 2], _sums: &mut [f32; 2]) {}
    /// All lanes, and the minima.
    #[inline(always)]
    fn total(lanes: f32, _minima: [f32; 2]) -> f32 {
        lanes
    }
    /// The total and a last block without an odd one: its scale and its integers.
    fn last(
        total: f32,
        scale: f32,
        integers: f32,
        block: &Self::Unpacked,
        x: &Self::Activation,
    ) -> f32;
}

// SAFETY: nothing is used.
unsafe impl<const BITS: u32> OfQuads for AroundZero<BITS> {
    fn are_tiles(together: usize) -> bool {
        BITS != 5 && together >= TILES_FROM
    }

    #[inline(always)]
    fn elements(block: &__m256i) -> __m256i {
        *block
    }

    #[inline(always)]
    fn values(x: &Q8Block) -> &[i8; 32] {
        &x.values
    }

    #[inline(always)]
    fn last(total: f32, scale: f32, integers: f32, _: &__m256i, x: &Q8Block) -> f32 {
        if BITS == 4 {
            (integers * scale).mul_add(x.scale, total)
        } else {
            (scale * x.scale).mul_add(integers, total)
        }
    }
}

// SAFETY: nothing is used.
unsafe impl<const BITS: u32> OfQuads for AboveMinimum<BITS> {
    #[inline(always)]
    fn elements((elements, _): &(__m256i, f32)) -> __m256i {
        *elements
    }

    #[inline(always)]
    fn values(x: &Q8Sum) -> &[i8; 32] {
        &x.block.values
    }

    /// One sum with four bits, one for the even and one for the odd blocks with five.
    #[inline(always)]
    fn minima([even, odd]: [&(__m256i, f32); 2], x: [&Q8Sum; 2], sums: &mut [f32; 2]) {
        if BITS == 4 {
            sums[0] += even.1.mul_add(x[0].sum, odd.1 * x[1].sum);
        } else {
            sums[0] = even.1.mul_add(x[0].sum, sums[0]);
            sums[1] = odd.1.mul_add(x[1].sum, sums[1]);
        }
    }

    #[inline(always)]
    fn total(lanes: f32, [first, second]: [f32; 2]) -> f32 {
        let total = lanes + first;
        if BITS == 4 { total } else { total + second }
    }

    #[inline(always)]
    fn last(total: f32, scale: f32, integers: f32, block: &(__m256i, f32), x: &Q8Sum) -> f32 {
        total + (scale * x.block.scale).mul_add(integers, block.1 * x.sum)
    }
}

// SAFETY: nothing but AVX2, FMA, F16C and what `D` and `F` stand for is used.
unsafe impl<F: OfQuads> Order for InQuads<F> {
    type Activation = F::Activation;
    const BYTES: usize = F::BYTES;

    #[inline(always)]
    unsafe fn sums<D: Dot<Vector = __m256i>, const T: usize>(
        row: &[u8],
        xs: [&[F::Activation]; T],
        together: usize,
    ) -> [f32; T] {
        // SAFETY: the instructions are there.
        unsafe {
            if F::are_tiles(together) {
                sums::<D, F, T, true>(row, xs)
            } else {
                sums::<D, F, T, false>(row, xs)
            }
        }
    }
}

/// The outputs of one row for `T` tokens, in four lanes if they are tiles, else in two times four.
///
/// # Safety
/// The instructions of `D`, AVX2, FMA and F16C are there.
#[inline(always)]
unsafe fn sums<D: Dot<Vector = __m256i>, F: OfQuads, const T: usize, const TILES: bool>(
    row: &[u8],
    xs: [&[F::Activation]; T],
) -> [f32; T] {
    let (pairs, rest) = row.split_at(row.len() / (2 * F::BYTES) * (2 * F::BYTES));
    // SAFETY: the instructions are there.
    unsafe {
        let (mut lanes, mut minima) = ([_mm256_setzero_ps(); T], [[0f32; 2]; T]);
        for (i, pair) in pairs.chunks_exact(2 * F::BYTES).enumerate() {
            prefetch(pair);
            let (even, odd) = pair.split_at(F::BYTES);
            let (even, odd) = (Words::<F>::of(even), Words::<F>::of(odd));
            let scales = halves(even.scale, odd.scale);
            for (t, xs) in xs.iter().enumerate() {
                let x = [&xs[2 * i], &xs[2 * i + 1]];
                let [first, second] = x.map(|x| _mm256_set1_ps(x.scale()));
                let scales = _mm256_mul_ps(scales, halves(first, second));
                let quads = in_quads(even.times::<D>(x[0]), odd.times::<D>(x[1]));
                lanes[t] = added::<TILES>(lanes[t], quads, scales);
                F::minima([&even.unpacked, &odd.unpacked], x, &mut minima[t]);
            }
        }
        let last = (!rest.is_empty()).then(|| Words::<F>::of(rest));
        let mut outputs = [0f32; T];
        for (t, output) in outputs.iter_mut().enumerate() {
            let last = last.as_ref().zip(xs[t].last());
            *output = if TILES {
                end_of_tile::<D, F>(lanes[t], last)
            } else {
                end::<D, F>(lanes[t], minima[t], last)
            };
        }
        outputs
    }
}

/// All lanes, the minima, and a last block without an odd one.
///
/// # Safety
/// The instructions of `D`, AVX2, FMA and F16C are there.
#[inline(always)]
unsafe fn end<D: Dot<Vector = __m256i>, F: OfQuads>(
    lanes: __m256,
    minima: [f32; 2],
    last: Option<(&Words<F>, &F::Activation)>,
) -> f32 {
    // SAFETY: the instructions are there.
    unsafe {
        let total = F::total(quads_of(lanes).sum(), minima);
        let Some((block, x)) = last else {
            return total;
        };
        let scale = _mm256_cvtss_f32(block.scale);
        let integers = sum_integers(block.times::<D>(x)) as f32;
        F::last(total, scale, integers, &block.unpacked, x)
    }
}

/// The first four lanes, to which a last block without an odd one is added as every other.
///
/// # Safety
/// The instructions of `D`, AVX2, FMA and F16C are there.
#[inline(always)]
unsafe fn end_of_tile<D: Dot<Vector = __m256i>, F: OfQuads>(
    mut lanes: __m256,
    last: Option<(&Words<F>, &F::Activation)>,
) -> f32 {
    // SAFETY: the instructions are there.
    unsafe {
        if let Some((block, x)) = last {
            let scale = _mm256_mul_ps(block.scale, _mm256_set1_ps(x.scale()));
            let quads = in_quads(block.times::<D>(x), _mm256_setzero_si256());
            lanes = _mm256_fmadd_ps(_mm256_cvtepi32_ps(quads), scale, lanes);
        }
        quads_of(lanes).even()
    }
}

/// A block as words.
struct Words<F: InBlocks> {
    unpacked: F::Unpacked,
    /// In every lane.
    scale: __m256,
    halves: [__m256i; 2],
}

impl<F: OfQuads> Words<F> {
    /// # Safety
    /// There are AVX2 and F16C.
    #[inline(always)]
    unsafe fn of(block: &[u8]) -> Self {
        // SAFETY: the instructions are there.
        unsafe {
            let unpacked = F::unpack(block);
            Words {
                scale: half(F::scale(block)),
                halves: as_words(F::elements(&unpacked)),
                unpacked,
            }
        }
    }

    /// Sums of two neighbours times activations.
    ///
    /// # Safety
    /// The instructions of `D` and AVX2 are there.
    #[inline(always)]
    unsafe fn times<D: Dot<Vector = __m256i>>(&self, x: &F::Activation) -> __m256i {
        // SAFETY: the instructions are there.
        unsafe {
            let [low, high] = as_words(values(F::values(x)));
            let sums = D::add_words(D::zero(), self.halves[0], low);
            D::add_words(sums, self.halves[1], high)
        }
    }
}

/// 32 bytes as words, the first 16 and the others.
#[inline]
#[target_feature(enable = "avx2")]
fn as_words(bytes: __m256i) -> [__m256i; 2] {
    [
        _mm256_cvtepi8_epi16(_mm256_castsi256_si128(bytes)),
        _mm256_cvtepi8_epi16(_mm256_extracti128_si256::<1>(bytes)),
    ]
}

/// The four lower lanes of the one, the four upper ones of the other.
#[inline]
#[target_feature(enable = "avx2")]
fn halves(low: __m256, high: __m256) -> __m256 {
    _mm256_blend_ps::<0b1111_0000>(low, high)
}

/// Sums of two neighbours as sums of four: those of the even block, then those of the odd one.
#[inline]
#[target_feature(enable = "avx2")]
fn in_quads(even: __m256i, odd: __m256i) -> __m256i {
    _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(even, odd))
}

/// Lanes plus scaled sums of both blocks. Of tiles the first four lanes count, which take one block
/// after the other.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn added<const TILES: bool>(lanes: __m256, quads: __m256i, scales: __m256) -> __m256 {
    let quads = _mm256_cvtepi32_ps(quads);
    let both = _mm256_fmadd_ps(quads, scales, lanes);
    if !TILES {
        return both;
    }
    let swapped = |lanes| _mm256_permute2f128_ps::<1>(lanes, lanes);
    _mm256_fmadd_ps(swapped(quads), swapped(scales), both)
}

/// Eight lanes as two times four.
#[inline]
#[target_feature(enable = "avx2")]
fn quads_of(lanes: __m256) -> Quads {
    let mut quads = [[0f32; 4]; 2];
    // SAFETY: the array has eight lanes; no alignment is asked for.
    unsafe { _mm256_storeu_ps(quads.as_mut_ptr().cast(), lanes) };
    Quads::of(quads)
}
