//! Products of rows in blocks with 256-bit vectors: the eight lanes of
//! [`Lanes`](crate::kernels::lanes::Lanes) are those of a vector, or blocks are added up as
//! [`whole_blocks`](crate::kernels::whole_blocks) does: those of 256 here, those of 32 in
//! [`quads`](super::quads).
//!
//! A block is unpacked once and then meets as many tokens as there are registers.

use std::arch::x86_64::*;
use std::marker::PhantomData;
use std::ops::Range;

use super::AHEAD;
use super::dot::Dot;
use crate::kernels::gemm::{Block, Inputs, Stored, Tile};
use crate::pool::Band;

/// Rows that stay in the second level of the cache while all tokens meet them.
const ROWS: usize = 32;
/// The most tokens that meet an unpacked block.
const TOKENS: usize = 8;

/// A format whose rows are blocks.
///
/// # Safety
/// The functions of an implementation ask for AVX2, F16C and the instructions of `D`, no others.
#[allow(clippy::missing_safety_doc)] // it is the trait's
pub unsafe trait InBlocks {
    /// What its blocks meet.
    type Activation: Block;
    /// A block as it meets them.
    type Unpacked;
    /// What is added up beside the lanes.
    type Beside: Copy + Default;
    /// Bytes of a block.
    const BYTES: usize;
    /// Whether scale times sum is added to a lane with one rounding.
    const FUSED: bool;

    /// The scale of a block, a half.
    fn scale(block: &[u8]) -> [u8; 2];
    /// Unpacks a block.
    unsafe fn unpack(block: &[u8]) -> Self::Unpacked;
    /// Integer sums of every lane.
    unsafe fn multiply<D: Dot<Vector = __m256i>, const T: usize>(
        block: &Self::Unpacked,
        x: [&Self::Activation; T],
    ) -> [__m256i; T];

    /// Adds what a block's offsets or its minimum make of a token's activations, before products
    /// are added to the lanes.
    #[inline(always)]
    unsafe fn offset(
        _block: &Self::Unpacked,
        _x: &Self::Activation,
        _lanes: &mut __m256,
        _beside: &mut Self::Beside,
    ) {
    }

    /// The lanes, added up, and what was kept beside them.
    #[inline(always)]
    fn output(lanes: f32, _beside: Self::Beside) -> f32 {
        lanes
    }
}

/// How the blocks of a row are added up.
///
/// # Safety
/// As for [`InBlocks`].
#[allow(clippy::missing_safety_doc)] // it is the trait's
pub unsafe trait Order {
    /// What a row meets.
    type Activation: Block;
    /// Bytes of a block.
    const BYTES: usize;

    /// The outputs of one row for `T` of the tokens that are computed together.
    unsafe fn sums<D: Dot<Vector = __m256i>, const T: usize>(
        row: &[u8],
        xs: [&[Self::Activation]; T],
        together: usize,
    ) -> [f32; T];
}

/// In eight lanes.
pub struct InLanes<F>(PhantomData<F>);

/// The integers of a block first, then one block after the other.
pub struct Whole<F>(PhantomData<F>);

/// A format whose blocks can be added up whole: the integer sums of a block are all there is, but
/// for what [`added`](Self::added) takes off.
///
/// # Safety
/// As for [`InBlocks`].
pub unsafe trait AddedWhole: InBlocks {
    /// The sum and a block: the integers, the scale they have together with the activations.
    ///
    /// # Safety
    /// See the trait.
    #[inline(always)]
    unsafe fn added(
        sum: f32,
        (scale, integers): (f32, f32),
        _block: &Self::Unpacked,
        _x: &Self::Activation,
    ) -> f32 {
        scale.mul_add(integers, sum)
    }
}

/// Eight vectors of 32 neighbours each.
pub type Planes = [__m256i; 8];

/// Defines the products of a format; the name is that of the format, and of the order where it is
/// not the one of x86.
macro_rules! in_blocks {
    ($products:ident of $format:ty: $name:literal) => {
        $crate::kernels::x86::products! {
            $products: {
                use $crate::kernels::gemm::Block;
                <$format as $crate::kernels::x86::blocks::Order>::Activation::FORM
            },
            blocks::tile, blocks::multiply of $format,
            concat!("x86_64-avx2-", $name),
            concat!("x86_64-avxvnni-", $name),
            concat!("x86_64-avx512vl-", $name)
        }
    };
}
pub(super) use in_blocks;

/// What is computed together.
pub fn tile<D: Dot>(tokens: usize) -> Tile {
    Tile {
        rows: ROWS / 2,
        tokens: tokens.clamp(1, D::TOKENS.min(TOKENS)),
    }
}

/// Computes the outputs of a band.
///
/// # Safety
/// The instructions of `D`, AVX2, FMA and F16C are there.
#[inline(always)]
pub unsafe fn multiply<D: Dot<Vector = __m256i>, O: Order>(
    weights: &Stored,
    inputs: &Inputs,
    band: &mut Band,
) {
    let (height, tokens) = (band.rows().len(), inputs.tokens);
    for first in (0..height).step_by(ROWS) {
        let own = first..height.min(first + ROWS);
        let mut token = 0;
        while token < tokens {
            let own = own.clone();
            // SAFETY: the instructions are there.
            token += unsafe {
                match D::TOKENS.min(tokens - token) {
                    8.. => some::<D, O, 8>(weights, own, inputs, token, band),
                    4.. => some::<D, O, 4>(weights, own, inputs, token, band),
                    2.. => some::<D, O, 2>(weights, own, inputs, token, band),
                    _ => some::<D, O, 1>(weights, own, inputs, token, band),
                }
            };
        }
    }
}

/// The outputs of some rows of the band for `T` tokens from `token` on; returns `T`.
///
/// # Safety
/// The instructions of `D`, AVX2, FMA and F16C are there.
#[inline(always)]
unsafe fn some<D: Dot<Vector = __m256i>, O: Order, const T: usize>(
    weights: &Stored,
    own: Range<usize>,
    inputs: &Inputs,
    token: usize,
    band: &mut Band,
) -> usize {
    let blocks = O::Activation::of(inputs).len() / inputs.tokens;
    let mut xs: [&[O::Activation]; T] = [&[]; T];
    for (t, x) in xs.iter_mut().enumerate() {
        *x = &O::Activation::of(inputs)[(token + t) * blocks..][..blocks];
    }
    let stride = blocks * O::BYTES;
    let first = band.rows().start;
    for row in own {
        let bytes = &weights.bytes[(first + row) * stride..][..stride];
        // SAFETY: the instructions are there.
        let sums = unsafe { O::sums::<D, T>(bytes, xs, inputs.together()) };
        for (t, sum) in sums.into_iter().enumerate() {
            band.token(token + t)[row] = sum;
        }
    }
    T
}

// SAFETY: nothing is used but what `F` uses.
unsafe impl<F: InBlocks> Order for InLanes<F> {
    type Activation = F::Activation;
    const BYTES: usize = F::BYTES;

    #[inline(always)]
    unsafe fn sums<D: Dot<Vector = __m256i>, const T: usize>(
        row: &[u8],
        xs: [&[F::Activation]; T],
        _together: usize,
    ) -> [f32; T] {
        // SAFETY: the instructions are there.
        unsafe {
            let mut lanes = [_mm256_setzero_ps(); T];
            let mut besides = [F::Beside::default(); T];
            for (i, block) in row.chunks_exact(F::BYTES).enumerate() {
                prefetch(block);
                let (scale, unpacked, x) = (half(F::scale(block)), F::unpack(block), at(xs, i));
                let each = lanes.iter_mut().zip(&mut besides).zip(x);
                for ((lanes, beside), x) in each {
                    F::offset(&unpacked, x, lanes, beside);
                }
                let sums = F::multiply::<D, T>(&unpacked, x);
                for ((lanes, sums), x) in lanes.iter_mut().zip(sums).zip(x) {
                    let scale = _mm256_mul_ps(scale, _mm256_set1_ps(x.scale()));
                    let sums = _mm256_cvtepi32_ps(sums);
                    *lanes = if F::FUSED {
                        _mm256_fmadd_ps(scale, sums, *lanes)
                    } else {
                        _mm256_add_ps(_mm256_mul_ps(sums, scale), *lanes)
                    };
                }
            }
            let mut outputs = [0f32; T];
            for ((output, lanes), beside) in outputs.iter_mut().zip(lanes).zip(besides) {
                *output = F::output(sum_lanes(lanes), beside);
            }
            outputs
        }
    }
}

// SAFETY: nothing is used but what `F` uses.
unsafe impl<F: AddedWhole> Order for Whole<F> {
    type Activation = F::Activation;
    const BYTES: usize = F::BYTES;

    #[inline(always)]
    unsafe fn sums<D: Dot<Vector = __m256i>, const T: usize>(
        row: &[u8],
        xs: [&[F::Activation]; T],
        _together: usize,
    ) -> [f32; T] {
        // SAFETY: the instructions are there.
        unsafe {
            let mut outputs = [0f32; T];
            for (i, block) in row.chunks_exact(F::BYTES).enumerate() {
                prefetch(block);
                let (scale, unpacked, x) = (half(F::scale(block)), F::unpack(block), at(xs, i));
                let sums = F::multiply::<D, T>(&unpacked, x);
                for ((output, sums), x) in outputs.iter_mut().zip(sums).zip(x) {
                    let scale = _mm256_cvtss_f32(scale) * x.scale();
                    let integers = sum_integers(sums) as f32;
                    *output = F::added(*output, (scale, integers), &unpacked, x);
                }
            }
            outputs
        }
    }
}

/// Asks for a block further on.
#[inline(always)]
pub fn prefetch(block: &[u8]) {
    for line in (0..block.len()).step_by(64) {
        let ahead = block.as_ptr().wrapping_add(AHEAD + line);
        // SAFETY: every x86-64 has the instruction, and any address may be asked for.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(ahead.cast()) };
    }
}

/// The block of that number of every token.
#[inline(always)]
pub fn at<X, const T: usize>(xs: [&[X]; T], i: usize) -> [&X; T] {
    let mut x = [&xs[0][i]; T];
    for (x, xs) in x.iter_mut().zip(xs) {
        *x = &xs[i];
    }
    x
}

/// A half as a float, in every lane. Loaded into all lanes at once: an instruction that inserts
/// it into a vector would wait for what that vector held.
///
/// # Safety
/// There are AVX2 and F16C.
#[inline(always)]
pub unsafe fn half(bytes: [u8; 2]) -> __m256 {
    // SAFETY: the instructions are there.
    unsafe { _mm256_cvtph_ps(_mm_set1_epi16(i16::from_le_bytes(bytes))) }
}

/// See [`crate::kernels::lanes::Lanes::sum`].
#[inline]
#[target_feature(enable = "avx2")]
pub fn sum_lanes(lanes: __m256) -> f32 {
    let four = _mm_add_ps(
        _mm256_extractf128_ps::<1>(lanes),
        _mm256_castps256_ps128(lanes),
    );
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    let one = _mm_add_ss(two, _mm_movehdup_ps(two));
    _mm_cvtss_f32(one)
}

/// The sum of all lanes.
#[inline]
#[target_feature(enable = "avx2")]
pub fn sum_integers(lanes: __m256i) -> i32 {
    let four = _mm_add_epi32(
        _mm256_extracti128_si256::<1>(lanes),
        _mm256_castsi256_si128(lanes),
    );
    let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
    let one = _mm_add_epi32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two));
    _mm_cvtsi128_si32(one)
}

/// 32 bytes from `at` on.
///
/// # Safety
/// There is AVX2.
#[inline(always)]
pub unsafe fn load(block: &[u8], at: usize) -> __m256i {
    let bytes = &block[at..at + 32];
    // SAFETY: the slice vouches for 32 bytes; no alignment is asked for.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// 32 activations.
///
/// # Safety
/// There is AVX2.
#[inline(always)]
pub unsafe fn values(values: &[i8; 32]) -> __m256i {
    // SAFETY: the reference vouches for 32 bytes; no alignment is asked for.
    unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
}

/// 16 words.
///
/// # Safety
/// There is AVX.
#[inline(always)]
pub unsafe fn words(words: &[i16; 16]) -> __m256i {
    // SAFETY: the reference vouches for 32 bytes; no alignment is asked for.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

/// 16 bytes from `at` on.
///
/// # Safety
/// Every x86-64 has the instruction.
#[inline(always)]
pub unsafe fn load_16(block: &[u8], at: usize) -> __m128i {
    let bytes = &block[at..at + 16];
    // SAFETY: the slice vouches for 16 bytes; no alignment is asked for.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}
