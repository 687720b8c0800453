//! The two 16-bit floats, as the two little-endian bytes they are in files and in the cache.
#![forbid(unsafe_code)]

/// An IEEE half or a bfloat16; which one is the caller's knowledge.
pub type Half = [u8; 2];

/// 2¹¹²: the distance between the exponent biases of half and single precision.
const BIAS_DISTANCE: f32 = f32::from_bits((112 + 127) << 23);

/// An IEEE half, exactly. Branch-free, so that loops over it become vector code everywhere.
#[inline(always)]
pub fn widen_f16(half: Half) -> f32 {
    let bits = u32::from(u16::from_le_bytes(half));
    let sign = (bits & 0x8000) << 16;
    let magnitude = (bits & 0x7fff) << 13;
    // Scaling by a power of two is exact and gives subnormal halves their exponent, too.
    let finite = (f32::from_bits(magnitude) * BIAS_DISTANCE).to_bits();
    let unsigned = if magnitude < 0x7c00 << 13 {
        finite
    } else {
        magnitude | 0x7f80_0000
    };
    f32::from_bits(unsigned | sign)
}

/// Rounds to the nearest IEEE half, ties to even; a NaN stays one. Branch-free as
/// [`widen_f16`] is.
#[inline(always)]
pub fn round_f16(x: f32) -> Half {
    const SMALLEST_NORMAL: u32 = 113 << 23;
    const INFINITY: u32 = 255 << 23;
    /// The first magnitude that is rounded to infinity.
    const OVERFLOW: u32 = 0x477f_f000;
    let sign = x.to_bits() & 0x8000_0000;
    let magnitude = x.to_bits() ^ sign;
    // The exponent gets the bias of halves; what is cut off rounds up by a carry.
    let odd = magnitude >> 13 & 1;
    let normal = magnitude.wrapping_sub(112 << 23).wrapping_add(0xfff + odd) >> 13;
    // Adding a half to a subnormal leaves its last bits where a half has them, rounded.
    let subnormal = (f32::from_bits(magnitude) + 0.5)
        .to_bits()
        .wrapping_sub(0.5f32.to_bits());
    let nan = 0x7e00 | magnitude >> 13 & 0x3ff;
    let finite = if magnitude < SMALLEST_NORMAL {
        subnormal
    } else {
        normal
    };
    let number = if magnitude < OVERFLOW { finite } else { 0x7c00 };
    let half = if magnitude > INFINITY { nan } else { number };
    ((half | sign >> 16) as u16).to_le_bytes()
}

/// A bfloat16, exactly.
#[inline(always)]
pub fn widen_bf16(half: Half) -> f32 {
    f32::from_bits(u32::from(u16::from_le_bytes(half)) << 16)
}

/// Rounds to the nearest bfloat16, ties to even; a NaN stays one.
#[inline(always)]
pub fn round_bf16(x: f32) -> Half {
    half::bf16::from_f32(x).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_widens_to_its_value() {
        for bits in 0..=u16::MAX {
            let ours = widen_f16(bits.to_le_bytes());
            let theirs = half::f16::from_bits(bits).to_f32();
            if theirs.is_nan() {
                assert!(ours.is_nan(), "{bits:#06x}");
            } else {
                assert_eq!(ours.to_bits(), theirs.to_bits(), "{bits:#06x}");
            }
        }
    }

    /// Around every half and every middle between two, and a step through all singles.
    #[test]
    fn every_single_rounds_as_the_crate_has_it() {
        let around = (0..=u16::MAX).flat_map(|bits| {
            let bits = widen_f16(bits.to_le_bytes()).to_bits();
            [0i32, 1, -1, 0xfff, 0x1000, 0x1001].map(|away| bits.wrapping_add_signed(away))
        });
        let through = (0..u32::MAX / 9973).map(|i| i * 9973);
        for bits in around.chain(through) {
            let x = f32::from_bits(bits);
            let theirs = half::f16::from_f32(x).to_le_bytes();
            assert_eq!(round_f16(x), theirs, "{bits:#010x}");
        }
    }

    #[test]
    fn rounding_goes_to_even_and_overflows_to_infinity() {
        let ulp = f32::from_bits((127 - 10) << 23);
        assert_eq!(widen_f16(round_f16(1.0 + 0.5 * ulp)), 1.0);
        assert_eq!(widen_f16(round_f16(1.0 + 1.5 * ulp)), 1.0 + 2.0 * ulp);
        assert_eq!(widen_f16(round_f16(65519.9)), 65504.0);
        assert_eq!(widen_f16(round_f16(65520.0)), f32::INFINITY);
        assert_eq!(widen_f16(round_f16(3.0e-8)), 2f32.powi(-25) * 2.0);
        assert_eq!(widen_bf16(round_bf16(1.0 + 1.0 / 256.0)), 1.0);
        assert_eq!(widen_bf16(round_bf16(1.0 + 3.0 / 256.0)), 1.0 + 4.0 / 256.0);
    }
}
