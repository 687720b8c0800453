//! The arithmetic of ggml built for AVX-512: 16 lanes, every sum by halving.
//!
//! bfloat16 products are those of CPUs without the BF16 extension; `ggml_avx512_bf16` has those
//! with it.
#![forbid(unsafe_code)]

use super::ggml_avx2::reduce_exponent;
use super::lanes::{Order, halve};

/// Lanes of a vector.
pub const LANES: usize = 16;

/// See the module.
pub struct GgmlAvx512;

impl Order<LANES> for GgmlAvx512 {
    type Singles = Self;
    const BF16_SUMS: usize = 2 * LANES;

    #[inline(always)]
    fn sum_dot(lanes: [f32; LANES]) -> f32 {
        halve(lanes)
    }

    #[inline(always)]
    fn sum_tile(lanes: [f32; LANES]) -> f32 {
        halve(lanes)
    }

    #[inline(always)]
    fn exp(x: f32) -> f32 {
        let reduced = reduce_exponent(x);
        let b = reduced.fraction;
        let linear = f32::from_bits(0x3f7f_fff6).mul_add(b, 1.0);
        let j = reduced.polynomial.mul_add(b * b, linear);
        if reduced.n.abs() > 192.0 {
            return if reduced.n <= 0.0 { 0.0 } else { f32::INFINITY };
        }
        scale_by_power_of_two(j, reduced.power.clamp(-192, 192))
    }

    #[inline(always)]
    fn sum_bf16(sums: &[f32]) -> f64 {
        let [c1, c2] = [0, 1].map(|v| std::array::from_fn(|l| sums[v * LANES + l]));
        f64::from(halve::<LANES>(c1)) + f64::from(halve::<LANES>(c2))
    }
}

/// `j · 2^n` rounded once, for |n| ≤ 192 and `j` near one. The first factor keeps the product
/// normal, so that only the second can round.
#[inline(always)]
fn scale_by_power_of_two(j: f32, n: i32) -> f32 {
    let second = if n < 0 { -100 } else { 100 };
    let power = |n: i32| f32::from_bits(((n + 127) as u32) << 23);
    j * power(n - second) * power(second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_lanes_are_halved() {
        // 2²⁴ + 1 is lost unless the ones meet first: lanes 0 and 8 do, 0 and 1 do not.
        let mut lanes = [0f32; LANES];
        (lanes[0], lanes[4], lanes[12]) = (16_777_216.0, 1.0, 1.0);
        assert_eq!(GgmlAvx512::sum_dot(lanes), 16_777_218.0);
        (lanes[4], lanes[12], lanes[1], lanes[8]) = (0.0, 0.0, 1.0, 1.0);
        assert_eq!(GgmlAvx512::sum_dot(lanes), 16_777_216.0);
    }

    #[test]
    fn exp_ends_and_middles() {
        assert_eq!(GgmlAvx512::exp(0.0), 1.0);
        assert_eq!(GgmlAvx512::exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(GgmlAvx512::exp(f32::INFINITY), f32::INFINITY);
        assert_eq!(GgmlAvx512::exp(-1000.0), 0.0);
        assert_eq!(GgmlAvx512::exp(89.0), f32::INFINITY);
        assert!(GgmlAvx512::exp(f32::NAN).is_nan());
        assert_eq!(
            GgmlAvx512::exp(-103.0),
            f32::from_bits(1),
            "the smallest subnormal"
        );
        for x in [-87.0f32, -20.5, -1.0, -1e-3, 0.5, 10.0, 88.0] {
            let exact = f64::from(x).exp();
            let ulps = (f64::from(GgmlAvx512::exp(x)) - exact) / exact * 2f64.powi(23);
            assert!(ulps.abs() < 1.5, "{x}: {ulps} ulp");
        }
    }
}
