//! e^x: the power of two nearest to it on a grid of 32 per octave, times a cubic in the rest.

use super::{reduced, split};
use std::f64::consts::LOG2_E;

/// Adding it rounds to a multiple of 1/32, whose 32nds are then the low bits of the sum.
pub(super) const SHIFT: f64 = (3u64 << 51) as f64 / 32.0;

/// The bits of 2^(i/32).
pub(super) const POWERS: [u64; 32] = powers();

const SPLIT_LOG2_E: [f64; 2] = split(LOG2_E);

/// e^x as on x86-64.
#[inline]
pub fn exp(x: f32) -> f32 {
    from_rest(x, |x, whole| reduced(x, SPLIT_LOG2_E, -whole))
}

/// e^x as on aarch64, where the product is rounded before the whole part is taken off. Two results
/// differ, by one unit in the last place: those of 32.564632 and −63.09946.
#[inline]
pub fn exp_aarch64(x: f32) -> f32 {
    from_rest(x, |x, whole| x * LOG2_E - whole)
}

/// e^x, given how to take the whole 32nds off x · log₂ e.
#[inline]
fn from_rest(x: f32, rest: impl Fn(f64, f64) -> f64) -> f32 {
    if x > 89.0 {
        return f32::INFINITY;
    }
    if x < -104.0 {
        return 0.0;
    }
    let x = f64::from(x);
    let shifted = x * LOG2_E + SHIFT;
    let rest = rest(x, shifted - SHIFT);
    power_of_two(shifted, rest, |a, b, c| a * b + c) as f32
}

/// 2^(shifted − SHIFT + rest), for a rest of at most half a 32nd; NaN stays NaN.
#[inline]
pub(super) fn power_of_two(
    shifted: f64,
    rest: f64,
    multiply_add: impl Fn(f64, f64, f64) -> f64,
) -> f64 {
    const CUBIC: f64 = f64::from_bits(0x3fac_6af8_4b91_2394);
    const SQUARE: f64 = f64::from_bits(0x3fce_bfce_50fa_c4f3);
    const LINEAR: f64 = f64::from_bits(0x3fe6_2e42_ff0c_52d6);
    let steps = shifted.to_bits();
    let octaves = steps >> 5 << 52;
    let power = f64::from_bits(POWERS[(steps % 32) as usize].wrapping_add(octaves));
    let high = multiply_add(CUBIC, rest, SQUARE);
    let low = multiply_add(LINEAR, rest, 1.0);
    multiply_add(high, rest * rest, low) * power
}

/// In integers, with 63 bits behind the point: roots of two, and the products of them.
const fn powers() -> [u64; 32] {
    const ONE: u128 = 1 << 63;
    let mut powers = [ONE; 32];
    let mut root = 2 * ONE;
    let mut bit = 16;
    while bit > 0 {
        root = (root * ONE).isqrt();
        let mut i = 0;
        while i < 32 {
            if i & bit != 0 {
                powers[i] = powers[i] * root / ONE;
            }
            i += 1;
        }
        bit /= 2;
    }
    let mut bits = [0; 32];
    let mut i = 0;
    while i < 32 {
        // The ten bits behind a double's last place are rounded off; its leading one is implied.
        let significand = ((powers[i] + (1 << 10)) >> 11) as u64;
        bits[i] = significand - (1 << 52) + 1f64.to_bits();
        i += 1;
    }
    bits
}
