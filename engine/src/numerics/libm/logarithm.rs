//! The natural logarithm, with the table of sixteenths of the power and a polynomial of degree
//! three.

use super::power::{INVERSES_AND_LOGARITHMS, sixteenth};
use super::{reduced, split};

/// Of the numbers whose inverses are in the table.
pub(super) const LOGARITHMS: [u64; 16] = [
    0xbfd5_7bf7_808c_aade,
    0xbfd2_bef0_a7c0_6ddb,
    0xbfd0_1eae_7f51_3a67,
    0xbfcb_31d8_a682_24e9,
    0xbfc6_574f_0ac0_7758,
    0xbfc1_aa2b_c79c_8100,
    0xbfba_4e76_ce8c_0e5e,
    0xbfb1_973c_5a61_1ccc,
    0xbfa2_52f4_38e1_0c1e,
    0x0000_0000_0000_0000,
    0x3faa_a5aa_5df2_5984,
    0x3fbc_5e53_aa36_2eb4,
    0x3fc5_26e5_7720_db08,
    0x3fcb_c286_0d22_4770,
    0x3fd1_058b_c8a0_7ee1,
    0x3fd4_0430_57b6_ee09,
];

/// The logarithm of x.
pub fn ln(x: f32) -> f32 {
    const CUBIC: f64 = f64::from_bits(0xbfd0_0ea3_48b8_8334);
    const SQUARE: f64 = f64::from_bits(0x3fd5_575b_0be0_0b6a);
    const LINEAR: f64 = f64::from_bits(0xbfdf_fffe_f20a_4123);
    if x == 0.0 {
        return f32::NEG_INFINITY;
    }
    if x < 0.0 || x.is_nan() {
        return f32::NAN;
    }
    if x == f32::INFINITY {
        return x;
    }
    let (significand, octaves, at) = sixteenth(x);
    let inverse = f64::from_bits(INVERSES_AND_LOGARITHMS[at][0]);
    let rest = reduced(significand, split(inverse), -1.0);
    let whole = octaves.mul_add(std::f64::consts::LN_2, f64::from_bits(LOGARITHMS[at]));
    let square = rest * rest;
    let high = CUBIC.mul_add(square, SQUARE.mul_add(rest, LINEAR));
    high.mul_add(square, whole + rest) as f32
}
