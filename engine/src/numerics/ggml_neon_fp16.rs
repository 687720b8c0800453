//! The arithmetic of ggml built for aarch64 with half-precision vectors: products of halves are
//! accumulated in halves, 8 lanes of them; everything else is [`GgmlNeon`]'s.
//!
//! Halves are emulated in double precision. The product of two halves has 22 bits, and a sum of
//! it with a half that is not exact in double precision lies so close to the larger summand that
//! rounding it twice gives what rounding it once gives.
#![forbid(unsafe_code)]

use super::ggml_neon::{GgmlNeon, LANES, add_neighbours};
use super::half::{Half, widen_f16};
use super::lanes::Order;
use crate::kernels::BlockOrder;

/// Halves of a vector.
const HALVES: usize = 8;
/// Fewest tokens whose products are tiles.
const TILES_FROM: usize = 8;

/// Eight halves, as the doubles they are equal to.
type Vector = [f64; HALVES];

/// See the module.
pub struct GgmlNeonFp16;

impl Order<LANES> for GgmlNeonFp16 {
    type Singles = GgmlNeon;
    /// Never: this arithmetic multiplies halves with halves.
    const F16_TILES_FROM: usize = usize::MAX;
    const F16_IN_SINGLES: bool = false;
    const BLOCKS: BlockOrder = GgmlNeon::BLOCKS;

    #[inline(always)]
    fn sum_dot(lanes: [f32; LANES]) -> f32 {
        GgmlNeon::sum_dot(lanes)
    }

    #[inline(always)]
    fn sum_tile(lanes: [f32; LANES]) -> f32 {
        GgmlNeon::sum_tile(lanes)
    }

    #[inline(always)]
    fn exp(x: f32) -> f32 {
        GgmlNeon::exp(x)
    }

    #[inline(always)]
    fn exp_rest(x: f32) -> f32 {
        GgmlNeon::exp_rest(x)
    }

    /// Tiles have one vector of accumulators and take whole vectors. A dot product has four, and
    /// adds what does not fill them one by one in double precision.
    #[inline(always)]
    fn dot_f16(a: &[Half], b: &[Half], tokens: usize) -> f32 {
        if tokens >= TILES_FROM && a.len().is_multiple_of(HALVES) {
            let ([lanes], _) = accumulate(a, b);
            return sum(lanes);
        }
        let ([s0, s1, s2, s3], taken) = accumulate(a, b);
        let lanes = add(add(s0, s2), add(s1, s3));
        let mut sum = f64::from(sum(lanes));
        for (&a, &b) in a[taken..].iter().zip(&b[taken..]) {
            sum += f64::from(widen_f16(a) * widen_f16(b));
        }
        sum as f32
    }
}

/// `V` vectors of accumulators over as many whole steps as fit; also how many elements that were.
#[inline(always)]
fn accumulate<const V: usize>(a: &[Half], b: &[Half]) -> ([Vector; V], usize) {
    let mut sums = [[0f64; HALVES]; V];
    let mut taken = 0;
    for (a, b) in a.chunks_exact(V * HALVES).zip(b.chunks_exact(V * HALVES)) {
        for (v, sum) in sums.iter_mut().enumerate() {
            for (l, sum) in sum.iter_mut().enumerate() {
                let product = widen_f16(a[v * HALVES + l]) * widen_f16(b[v * HALVES + l]);
                *sum = nearest_half(f64::from(product) + *sum);
            }
        }
        taken += V * HALVES;
    }
    (sums, taken)
}

#[inline(always)]
fn add(a: Vector, b: Vector) -> Vector {
    std::array::from_fn(|l| nearest_half(a[l] + b[l]))
}

/// From here on in single precision: the upper four onto the lower ones, then neighbours.
#[inline(always)]
fn sum(v: Vector) -> f32 {
    add_neighbours(std::array::from_fn(|l| v[l] as f32 + v[l + 4] as f32))
}

/// The nearest half, ties to even. The addition rounds to the last bit a half of that magnitude
/// has, and the subtraction takes away what did it. Branch-free, and exact for every double,
/// which conversions by way of single precision or of the upper bits are not.
#[inline(always)]
fn nearest_half(x: f64) -> f64 {
    const EXPONENT: u64 = 0x7ff0_0000_0000_0000;
    const SMALLEST_NORMAL: f64 = 1.0 / 16384.0;
    const MANTISSAS_APART: f64 = 1.5 * (1u64 << 42) as f64;
    const OVERFLOW: f64 = 65520.0;
    let power = f64::from_bits(x.to_bits() & EXPONENT);
    let power = if power > SMALLEST_NORMAL {
        power
    } else {
        SMALLEST_NORMAL
    };
    let shift = power * MANTISSAS_APART;
    let rounded = ((x + shift) - shift).copysign(x);
    if x.abs() < OVERFLOW {
        rounded
    } else {
        x * f64::INFINITY
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numerics::half::round_f16;

    fn halves(values: &[f32]) -> Vec<Half> {
        values.iter().map(|&x| round_f16(x)).collect()
    }

    /// `len` zeros, except for some.
    fn row(len: usize, some: &[(usize, f32)]) -> Vec<Half> {
        let mut row = vec![0f32; len];
        for &(index, value) in some {
            row[index] = value;
        }
        halves(&row)
    }

    #[test]
    fn every_half_is_its_own_nearest_and_every_middle_goes_to_even() {
        for bits in 0..0x7c00u16 {
            let half = |bits: u16| f64::from(widen_f16(bits.to_le_bytes()));
            let low = half(bits);
            let high = if bits == 0x7bff {
                65536.0
            } else {
                half(bits + 1)
            };
            let middle = (low + high) / 2.0;
            let above = if bits == 0x7bff { f64::INFINITY } else { high };
            let even = if bits % 2 == 0 { low } else { above };
            for sign in [1.0, -1.0] {
                let nearest = |x: f64| nearest_half(sign * x);
                assert_eq!(
                    nearest(low).to_bits(),
                    (sign * low).to_bits(),
                    "{bits:#06x}"
                );
                assert_eq!(nearest(middle), sign * even, "{bits:#06x}");
                assert_eq!(nearest(middle.next_down()), sign * low, "{bits:#06x}");
                assert_eq!(nearest(middle.next_up()), sign * above, "{bits:#06x}");
            }
        }
        assert_eq!(nearest_half(f64::INFINITY), f64::INFINITY);
        assert!(nearest_half(f64::NAN).is_nan());
    }

    #[test]
    fn a_fused_product_is_rounded_once() {
        // 1 + 2⁻¹⁰ + (2⁻¹¹ + 2⁻²¹)(1 − 2⁻¹⁰) lies 2⁻³¹ below the middle of two halves. Single
        // precision makes the middle of it, which would go up to the even half.
        let one = 1.0 + 1.0 / 1024.0;
        let factor = 2f32.powi(-11) + 2f32.powi(-21);
        let other = 1.0 - 2f32.powi(-10);
        assert_eq!(factor * other, 2f32.powi(-11) - 2f32.powi(-31));
        assert_eq!(
            one + factor * other,
            one + 2f32.powi(-11),
            "in single precision"
        );
        let a = row(16, &[(0, one), (8, factor)]);
        let b = row(16, &[(0, 1.0), (8, other)]);
        assert_eq!(GgmlNeonFp16::dot_f16(&a, &b, 8), one);
    }

    #[test]
    fn accumulators_are_halves() {
        // 2048 + 1 is no half.
        let a = row(64, &[(0, 2048.0), (32, 1.0)]);
        let ones = halves(&[1.0; 64]);
        assert_eq!(GgmlNeonFp16::dot_f16(&a, &ones, 1), 2048.0);
        assert_eq!(GgmlNeon::dot_f16(&a, &ones, 1), 2049.0);
    }

    #[test]
    fn a_dot_product_has_four_accumulators_and_a_tile_one() {
        let ones = halves(&[1.0; 32]);
        let of = |a: &[Half]| [1, 7, 8].map(|tokens| GgmlNeonFp16::dot_f16(a, &ones, tokens));
        // Vectors 1 and 3 meet before 0, one after the other they are lost beside 2048.
        let a = row(32, &[(0, 2048.0), (8, 1.0), (24, 1.0)]);
        assert_eq!(of(&a), [2050.0, 2050.0, 2048.0]);
        // Vector 2 meets 0 first.
        let a = row(32, &[(0, 2048.0), (8, 1.0), (16, 1.0)]);
        assert_eq!(of(&a), [2048.0, 2048.0, 2048.0]);
    }

    #[test]
    fn lanes_are_added_in_single_precision_halves_of_the_vector_first() {
        let ones = halves(&[1.0; 32]);
        let a = row(32, &[(0, 2048.0), (1, 1.0)]);
        assert_eq!(GgmlNeonFp16::dot_f16(&a, &ones, 1), 2049.0);
        // 2⁻⁹ beside 2¹⁵ is lost, and survives where it meets another first.
        let v = |some: &[(usize, f64)]| {
            let mut v = [0f64; HALVES];
            some.iter().for_each(|&(l, x)| v[l] = x);
            sum(v)
        };
        let (large, small) = (32768.0, 2f64.powi(-9));
        assert_eq!(
            v(&[(0, large), (2, small), (6, small)]),
            32768.0 + 2f32.powi(-8)
        );
        assert_eq!(
            v(&[(0, large), (2, small), (3, small)]),
            32768.0 + 2f32.powi(-8)
        );
        assert_eq!(v(&[(0, large), (1, small), (2, small)]), 32768.0);
        assert_eq!(v(&[(0, large), (4, small), (1, small)]), 32768.0);
    }

    #[test]
    fn leftovers_are_added_in_double() {
        // Twelve elements fill no step; neither halves nor singles hold 2²⁴ + 1.
        let a = row(12, &[(0, 4096.0), (1, 1.0), (11, -4096.0)]);
        let b = row(12, &[(0, 4096.0), (1, 1.0), (11, 4096.0)]);
        for tokens in [1, 8] {
            assert_eq!(GgmlNeonFp16::dot_f16(&a, &b, tokens), 1.0);
        }
    }
}
