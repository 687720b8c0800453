//! The arithmetic of ggml built for AVX2, FMA and F16C: 8 lanes, and two different trees.
#![forbid(unsafe_code)]

use super::lanes::Order;

/// Lanes of a vector.
pub const LANES: usize = 8;

/// See the module.
pub struct GgmlAvx2;

impl Order<LANES> for GgmlAvx2 {
    type Singles = Self;
    const BF16_SUMS: usize = 4 * LANES;

    /// Upper half onto lower, then neighbours.
    #[inline(always)]
    fn sum_dot(v: [f32; LANES]) -> f32 {
        let [t0, t1, t2, t3] = fold(v);
        (t0 + t1) + (t2 + t3)
    }

    /// Upper half onto lower, twice, then the last two.
    #[inline(always)]
    fn sum_tile(v: [f32; LANES]) -> f32 {
        let [t0, t1, t2, t3] = fold(v);
        (t0 + t2) + (t1 + t3)
    }

    #[inline(always)]
    fn exp(x: f32) -> f32 {
        let reduced = reduce_exponent(x);
        let b = reduced.fraction;
        let j = reduced
            .polynomial
            .mul_add(b * b, f32::from_bits(0x3f7f_fff6) * b);
        let e = (reduced.power as u32) << 23;
        let k = f32::from_bits(e.wrapping_add(1f32.to_bits()));
        let near = k.mul_add(j, k);
        // Powers beyond the exponent's range are applied in two factors.
        let g: u32 = if reduced.n <= 0.0 { 0x8200_0000 } else { 0 };
        let s1 = f32::from_bits(g.wrapping_add(0x7f00_0000));
        let s2 = f32::from_bits(e.wrapping_sub(g));
        let far = s2.mul_add(j, s2) * s1;
        let magnitude = reduced.n.abs();
        if magnitude > 192.0 {
            s1 * s1
        } else if magnitude > 126.0 {
            far
        } else {
            near
        }
    }

    #[inline(always)]
    fn sum_bf16(sums: &[f32]) -> f64 {
        let lanes = std::array::from_fn(|l| {
            let [c1, c2, c3, c4] = [0, 1, 2, 3].map(|v| sums[v * LANES + l]);
            (c1 + c3) + (c2 + c4)
        });
        f64::from(Self::sum_tile(lanes))
    }
}

#[inline(always)]
fn fold(v: [f32; LANES]) -> [f32; 4] {
    std::array::from_fn(|i| v[i] + v[i + 4])
}

/// x split into n · ln 2 + fraction, with the part of the polynomial both exponentials share.
pub(super) struct Reduced {
    /// The power of two as a float; out of range where `power` means nothing.
    pub n: f32,
    /// The same as an integer.
    pub power: i32,
    /// What is left, at most half of ln 2.
    pub fraction: f32,
    /// The terms from the square on, divided by the square.
    pub polynomial: f32,
}

/// The coefficients are the nearest singles to those of ggml's vector exponential.
#[inline(always)]
pub(super) fn reduce_exponent(x: f32) -> Reduced {
    const SHIFT: f32 = 12_582_912.0; // 1.5 · 2²³: adding it rounds to an integer
    let z = x.mul_add(f32::from_bits(0x3fb8_aa3b), SHIFT);
    let n = z - SHIFT;
    let coarse = (-n).mul_add(f32::from_bits(0x3f31_7200), x);
    let b = (-n).mul_add(f32::from_bits(0x35bf_be8e), coarse);
    let high = f32::from_bits(0x3c07_2010).mul_add(b, f32::from_bits(0x3d2b_9f17));
    let low = f32::from_bits(0x3e2a_af33).mul_add(b, f32::from_bits(0x3eff_fedb));
    Reduced {
        n,
        power: z.to_bits().wrapping_sub(SHIFT.to_bits()) as i32,
        fraction: b,
        polynomial: high.mul_add(b * b, low),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_trees_differ() {
        // Small values survive beside 2²⁴ only where they meet each other first.
        let mut v = [0f32; LANES];
        (v[0], v[2], v[3]) = (16_777_216.0, 1.0, 1.0);
        assert_eq!(GgmlAvx2::sum_dot(v), 16_777_218.0);
        assert_eq!(GgmlAvx2::sum_tile(v), 16_777_216.0);
    }

    #[test]
    fn exp_ends_and_middles() {
        assert_eq!(GgmlAvx2::exp(0.0), 1.0);
        assert_eq!(GgmlAvx2::exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(GgmlAvx2::exp(f32::INFINITY), f32::INFINITY);
        assert!(GgmlAvx2::exp(f32::NAN).is_nan());
        assert_eq!(GgmlAvx2::exp(-1000.0), 0.0);
        assert_eq!(GgmlAvx2::exp(89.0), f32::INFINITY);
        for x in [-87.5f32, -20.5, -1.0, -1e-3, 0.5, 10.0, 88.0] {
            let exact = f64::from(x).exp();
            let ulps = (f64::from(GgmlAvx2::exp(x)) - exact) / exact * 2f64.powi(23);
            assert!(ulps.abs() < 1.5, "{x}: {ulps} ulp");
        }
    }
}
