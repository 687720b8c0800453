//! x^y as 2^(y · log₂ x), with a table of 16 logarithms and a polynomial of degree five.

use super::exponential::{SHIFT, power_of_two};
use super::{reduced, split};

/// The significands of a binary logarithm's argument lie from here to twice of it.
const FIRST: u64 = 0x3fe6_6000_0000_0000;

/// For each sixteenth of them: the inverse of a number near its middle, and that number's binary
/// logarithm.
pub(super) const INVERSES_AND_LOGARITHMS: [[u64; 2]; 16] = [
    [0x3ff6_61ec_79f8_f3be, 0xbfde_fec6_5b96_3019],
    [0x3ff5_71ed_4aaf_883d, 0xbfdb_0b68_32d4_fca4],
    [0x3ff4_9539_f0f0_10b0, 0xbfd7_418b_0a1f_b77b],
    [0x3ff3_c995_b0b8_0385, 0xbfd3_9de9_1a6d_cf7b],
    [0x3ff3_0d19_0c88_64a5, 0xbfd0_1d9b_f3f2_b631],
    [0x3ff2_5e22_7b0b_8ea0, 0xbfc9_7c1d_1b3b_7af0],
    [0x3ff1_bb4a_4a1a_343f, 0xbfc2_f9e3_93af_3c9f],
    [0x3ff1_2358_f08a_e5ba, 0xbfb9_60cb_bf78_8d5c],
    [0x3ff0_953f_4199_00a7, 0xbfaa_6f9d_b647_5fce],
    [0x3ff0_0000_0000_0000, 0x0000_0000_0000_0000],
    [0x3fee_608c_fd9a_47ac, 0x3fb3_38ca_9f24_f53d],
    [0x3fec_a4b3_1f02_6aa0, 0x3fc4_76a9_5438_91ba],
    [0x3feb_2036_576a_fce6, 0x3fce_840b_4ac4_e4d2],
    [0x3fe9_c2d1_63a1_aa2d, 0x3fd4_0645_f0c6_651c],
    [0x3fe8_86e6_0378_41ed, 0x3fd8_8e9c_2c1b_9ff8],
    [0x3fe7_67dc_f553_4862, 0x3fdc_e0a4_4eb1_7bcc],
];

/// x to the power of y.
pub fn pow(x: f32, y: f32) -> f32 {
    if x == 1.0 || y == 0.0 {
        return 1.0;
    }
    if x.is_nan() || y.is_nan() {
        return x + y;
    }
    let root_of_negative = x < 0.0 && x.is_finite() && y.trunc() != y;
    if root_of_negative {
        return f32::NAN;
    }
    let magnitude = match log2(x.abs()) {
        // Even to an infinite power.
        0.0 => 1.0,
        logarithm => exp2(f64::from(y) * logarithm),
    };
    if x.is_sign_negative() && is_odd(y) {
        -magnitude
    } else {
        magnitude
    }
}

/// From 2²⁴ on all singles are even, and so are infinities.
fn is_odd(y: f32) -> bool {
    (y / 2.0).trunc() != y / 2.0 && y.trunc() == y
}

/// A positive number as a significand times a power of two, and which of the sixteen the
/// significand is.
pub(super) fn sixteenth(x: f32) -> (f64, f64, usize) {
    let bits = f64::from(x).to_bits();
    let above = bits.wrapping_sub(FIRST);
    let octaves = above.cast_signed() >> 52;
    let significand = f64::from_bits(bits.wrapping_sub(octaves.cast_unsigned() << 52));
    (significand, octaves as f64, (above >> 48) as usize % 16)
}

/// The binary logarithm of zero or more.
fn log2(x: f32) -> f64 {
    const FIFTH: f64 = f64::from_bits(0x3fd2_7616_c949_6e0b);
    const FOURTH: f64 = f64::from_bits(0xbfd7_1969_a075_c67a);
    const CUBIC: f64 = f64::from_bits(0x3fde_c70a_6ca7_badd);
    const SQUARE: f64 = f64::from_bits(0xbfe7_1547_48be_f6c8);
    const LINEAR: f64 = f64::from_bits(0x3ff7_1547_652a_b82b);
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x == f32::INFINITY {
        return f64::INFINITY;
    }
    let (significand, octaves, at) = sixteenth(x);
    let [inverse, logarithm] = INVERSES_AND_LOGARITHMS[at].map(f64::from_bits);
    let rest = reduced(significand, split(inverse), -1.0);
    let square = rest * rest;
    let high = FIFTH.mul_add(rest, FOURTH);
    let middle = CUBIC.mul_add(rest, SQUARE);
    let low = LINEAR.mul_add(rest, logarithm + octaves);
    high.mul_add(square * square, middle.mul_add(square, low))
}

/// 2^x.
fn exp2(x: f64) -> f32 {
    if x > 129.0 {
        return f32::INFINITY;
    }
    if x < -151.0 {
        return 0.0;
    }
    let shifted = x + SHIFT;
    power_of_two(shifted, x - (shifted - SHIFT), f64::mul_add) as f32
}
