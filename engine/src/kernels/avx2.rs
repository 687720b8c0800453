//! The inner loops for x86-64 with AVX2.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::gemm::{Gemm, RowByRow};
use super::q8_0::Q8Block;
use super::q8_k::Q8K;
use super::x86::dot::{self, Dpbusd, Dpbusd256, Maddubs};
use super::x86::{AHEAD, i2_s};
use crate::encoding::{q6_k, q8_0};
use crate::flavor::{tq1_0, tq2_0};

/// Proof that this CPU has AVX2, FMA and F16C, and what multiplies bytes: it cannot be made where
/// it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx2(Bytes);

/// The instruction that multiplies bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bytes {
    Pairs,
    AvxVnni,
    Avx512Vl,
}

impl Avx2 {
    /// The proof, if there is one.
    pub fn new() -> Option<Self> {
        let there = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        there.then_some(Avx2(Bytes::Pairs))
    }

    /// The proof that there is AVX-VNNI, too.
    pub fn with_vnni() -> Option<Self> {
        let there = Self::new().is_some() && is_x86_feature_detected!("avxvnni");
        there.then_some(Avx2(Bytes::AvxVnni))
    }

    /// The proof that there are the same instructions in the encoding of AVX-512, too.
    pub fn with_avx512vl() -> Option<Self> {
        let there = Self::new().is_some()
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni");
        there.then_some(Avx2(Bytes::Avx512Vl))
    }

    /// Printable name of the kernel.
    pub fn name(self) -> &'static str {
        match self.0 {
            Bytes::Pairs => "x86_64-avx2",
            Bytes::AvxVnni => "x86_64-avxvnni",
            Bytes::Avx512Vl => "x86_64-avx512vl",
        }
    }

    /// Multiplies int8 values in registers, as fast as there is an instruction for it.
    pub(super) fn multiply_registers(self, rounds: u64) {
        #[target_feature(enable = "avx2")]
        fn pairs(rounds: u64) {
            // SAFETY: this function asks for the instructions, as those below do.
            unsafe { dot::multiply_registers::<Maddubs>(rounds) }
        }
        #[target_feature(enable = "avx2,avxvnni")]
        fn avxvnni(rounds: u64) {
            // SAFETY: as above.
            unsafe { dot::multiply_registers::<Dpbusd>(rounds) }
        }
        #[target_feature(enable = "avx2,avx512f,avx512vl,avx512vnni")]
        fn avx512vl(rounds: u64) {
            // SAFETY: as above.
            unsafe { dot::multiply_registers::<Dpbusd256>(rounds) }
        }
        // SAFETY: the value proves that the instructions are there.
        unsafe {
            match self.0 {
                Bytes::Pairs => pairs(rounds),
                Bytes::AvxVnni => avxvnni(rounds),
                Bytes::Avx512Vl => avx512vl(rounds),
            }
        }
    }

    /// The product of I2_S.
    pub fn i2_s(self) -> &'static dyn Gemm {
        match self.0 {
            Bytes::Pairs => i2_s::MADDUBS,
            Bytes::AvxVnni => i2_s::AVXVNNI,
            Bytes::Avx512Vl => i2_s::AVX512VL,
        }
    }

    /// The product of TQ1_0, in eight lanes.
    pub fn tq1_0(self) -> &'static dyn Gemm {
        &TQ1_0
    }

    /// The product of TQ2_0, in eight lanes.
    pub fn tq2_0(self) -> &'static dyn Gemm {
        &TQ2_0
    }

    /// The product of Q6_K, in eight lanes.
    pub fn q6_k(self) -> &'static dyn Gemm {
        &Q6_K
    }

    /// The product of Q8_0, in eight lanes.
    pub fn q8_0(self) -> &'static dyn Gemm {
        &Q8_0
    }
}

static TQ1_0: RowByRow<Q8K> = RowByRow {
    name: "x86_64-avx2-tq1_0",
    // SAFETY: only `Avx2` hands it out, and that exists only where `new` found AVX2 and FMA.
    dot: |row, activations, _| unsafe { tq1_0_dot(row, activations) },
};

static TQ2_0: RowByRow<Q8K> = RowByRow {
    name: "x86_64-avx2-tq2_0",
    // SAFETY: as for `TQ1_0`.
    dot: |row, activations, _| unsafe { tq2_0_dot(row, activations) },
};

static Q6_K: RowByRow<Q8K> = RowByRow {
    name: "x86_64-avx2-q6_k",
    // SAFETY: as for `TQ1_0`.
    dot: |row, activations, _| unsafe { q6_k_dot(row, activations) },
};

pub(super) static Q8_0: RowByRow<Q8Block> = RowByRow {
    name: "x86_64-avx2-q8_0",
    // SAFETY: as for `TQ1_0`.
    dot: |row, activations, _| unsafe { q8_0_dot(row, activations) },
};

#[target_feature(enable = "avx2,fma,f16c")]
fn tq2_0_dot(row: &[u8], activations: &[Q8K]) -> f32 {
    let two_bits = _mm256_set1_epi8(3);
    let mut lanes = _mm256_setzero_ps();
    for (block, activation) in row
        .as_chunks::<{ tq2_0::BLOCK_BYTES }>()
        .0
        .iter()
        .zip(activations)
    {
        prefetch(block);
        let halves = block[..tq2_0::SCALE_AT].as_chunks::<32>().0;
        let values = activation.values.as_chunks::<32>().0.as_chunks::<4>().0;
        let mut narrow = _mm256_setzero_si256();
        for (bytes, values) in halves.iter().zip(values) {
            let codes = load_codes(bytes);
            let planes = [
                codes,
                _mm256_srli_epi16::<2>(codes),
                _mm256_srli_epi16::<4>(codes),
                _mm256_srli_epi16::<6>(codes),
            ];
            for (plane, values) in planes.into_iter().zip(values) {
                let digits = _mm256_and_si256(plane, two_bits);
                let products = _mm256_maddubs_epi16(digits, load_values(values));
                narrow = _mm256_add_epi16(narrow, products);
            }
        }
        let scale = activation.scale * widen(block.last_chunk());
        lanes = add_trit_block(lanes, narrow, &activation.sums, scale);
    }
    sum_lanes(lanes)
}

#[target_feature(enable = "avx2,fma,f16c")]
fn tq1_0_dot(row: &[u8], activations: &[Q8K]) -> f32 {
    let mut lanes = _mm256_setzero_ps();
    for (block, activation) in row
        .as_chunks::<{ tq1_0::BLOCK_BYTES }>()
        .0
        .iter()
        .zip(activations)
    {
        prefetch(block);
        // The digits in the order of their elements, 32 at a time.
        let (five, rest) = block.split_first_chunk::<32>().expect("54 bytes");
        let (middle, rest) = rest.split_first_chunk::<16>().expect("22 bytes");
        let (four, _) = rest.split_first_chunk::<4>().expect("6 bytes");
        let five = powers_of_three(load_codes(five));
        let middle = powers_of_three(_mm256_broadcastsi128_si256(load_16(middle)));
        let four = _mm256_set1_epi32(i32::from_le_bytes(*four));
        // Four bytes times 1, 3, 9 and 27, kept to eight bits.
        let four = powers_of_three(four);
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
        let mut narrow = _mm256_setzero_si256();
        for (fraction, values) in fractions.into_iter().zip(activation.values.as_chunks().0) {
            let products = _mm256_maddubs_epi16(first_digits(fraction), load_values(values));
            narrow = _mm256_add_epi16(narrow, products);
        }
        let scale = activation.scale * widen(block.last_chunk());
        lanes = add_trit_block(lanes, narrow, &activation.sums, scale);
    }
    sum_lanes(lanes)
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

/// Takes the activations' sums off 16-bit sums of digits, then adds the block to the lanes with
/// separate roundings. 16 products of at most 3 · 127 and a sum of 16 activations stay within
/// 16 bits.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn add_trit_block(lanes: __m256, narrow: __m256i, sums: &[i16; 16], scale: f32) -> __m256 {
    let narrow = _mm256_sub_epi16(narrow, load_sums(sums));
    let wide = _mm256_madd_epi16(narrow, _mm256_set1_epi16(1));
    let product = _mm256_mul_ps(_mm256_cvtepi32_ps(wide), _mm256_set1_ps(scale));
    _mm256_add_ps(product, lanes)
}

#[target_feature(enable = "avx2,fma,f16c")]
fn q6_k_dot(row: &[u8], activations: &[Q8K]) -> f32 {
    let (nibble, pair) = (_mm256_set1_epi8(15), _mm256_set1_epi8(0x30));
    let mut lanes = _mm256_setzero_ps();
    for (block, activation) in row
        .as_chunks::<{ q6_k::BLOCK_BYTES }>()
        .0
        .iter()
        .zip(activations)
    {
        prefetch(block);
        let values = activation.values.as_chunks::<32>().0.as_chunks::<4>().0;
        let low = block[..q6_k::HIGH_AT]
            .as_chunks::<32>()
            .0
            .as_chunks::<2>()
            .0;
        let high = block[q6_k::HIGH_AT..q6_k::SCALES_AT].as_chunks::<32>().0;
        let mut wide = _mm256_setzero_si256();
        for half in 0..2 {
            let [low_0, low_1] = low[half].each_ref().map(|low| load_codes(low));
            let high = load_codes(&high[half]);
            let planes = [
                (low_0, _mm256_slli_epi16::<4>(high)),
                (low_1, _mm256_slli_epi16::<2>(high)),
                (_mm256_srli_epi16::<4>(low_0), high),
                (_mm256_srli_epi16::<4>(low_1), _mm256_srli_epi16::<2>(high)),
            ];
            for (plane, ((low, high), values)) in planes.into_iter().zip(&values[half]).enumerate()
            {
                let low = _mm256_and_si256(low, nibble);
                let quants = _mm256_or_si256(low, _mm256_and_si256(high, pair));
                let values = load_values(values);
                // Both stay within 16 bits: 2 · 63 · 127 and 2 · 32 · 127.
                let products = _mm256_sub_epi16(
                    _mm256_maddubs_epi16(quants, values),
                    _mm256_maddubs_epi16(_mm256_set1_epi8(32), values),
                );
                let index = half * 128 + plane * 32;
                let first = i16::from(q6_k::group_scale(block, index));
                let second = i16::from(q6_k::group_scale(block, index + 16));
                let scales = _mm256_set_m128i(_mm_set1_epi16(second), _mm_set1_epi16(first));
                wide = _mm256_add_epi32(wide, _mm256_madd_epi16(scales, products));
            }
        }
        let scale = _mm256_set1_ps(activation.scale * widen(block.last_chunk()));
        lanes = _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(wide), lanes);
    }
    sum_lanes(lanes)
}

#[target_feature(enable = "avx2,fma,f16c")]
fn q8_0_dot(row: &[u8], activations: &[Q8Block]) -> f32 {
    let mut lanes = _mm256_setzero_ps();
    for (block, activation) in row
        .as_chunks::<{ q8_0::BLOCK_BYTES }>()
        .0
        .iter()
        .zip(activations)
    {
        prefetch(block);
        let (_, quants) = block.split_last_chunk::<32>().expect("34 bytes");
        let (quants, values) = (load_codes(quants), load_values(&activation.values));
        // Magnitudes meet signed activations. Two products stay within 16 bits: at most 128 · 127
        // each, and −128 · 128 where an activation of −128, which has no negative, stays.
        let products =
            _mm256_maddubs_epi16(_mm256_abs_epi8(quants), _mm256_sign_epi8(values, quants));
        let wide = _mm256_madd_epi16(products, _mm256_set1_epi16(1));
        let scale = _mm256_set1_ps(widen(block.first_chunk()) * activation.scale);
        lanes = _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(wide), lanes);
    }
    sum_lanes(lanes)
}

/// Asks for a block further on.
#[inline]
#[target_feature(enable = "avx2")]
fn prefetch<const BYTES: usize>(block: &[u8; BYTES]) {
    for line in (0..BYTES).step_by(64) {
        let ahead = block.as_ptr().wrapping_add(AHEAD + line);
        _mm_prefetch::<_MM_HINT_T1>(ahead.cast());
    }
}

/// The scale at an end of a block.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn widen(half: Option<&[u8; 2]>) -> f32 {
    let bits = i32::from(u16::from_le_bytes(*half.expect("a scale")));
    _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits)))
}

/// See [`super::lanes::Lanes::sum`].
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn sum_lanes(lanes: __m256) -> f32 {
    let four = _mm_add_ps(
        _mm256_extractf128_ps::<1>(lanes),
        _mm256_castps256_ps128(lanes),
    );
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    let one = _mm_add_ss(two, _mm_movehdup_ps(two));
    _mm_cvtss_f32(one)
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

#[inline]
#[target_feature(enable = "avx2")]
fn load_sums(sums: &[i16; 16]) -> __m256i {
    // SAFETY: the reference vouches for 32 readable bytes, and the load asks for no alignment.
    unsafe { _mm256_loadu_si256(sums.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_16(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: the reference vouches for 16 readable bytes, and the load asks for no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}
