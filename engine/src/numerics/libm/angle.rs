//! sin and cos: quarter turns are taken off, what is left goes into one of two polynomials.

use super::{reduced, split};
use std::f64::consts::{FRAC_2_PI, FRAC_PI_2};

/// From here on the whole quarter turns no longer fit the short reduction.
const FAR: f32 = 120.0;

/// The first 192 bits behind the point of 2/π, and 24 before it.
pub(super) const TWO_OVER_PI: [u8; 27] = [
    0, 0, 0, 0xa2, 0xf9, 0x83, 0x6e, 0x4e, 0x44, 0x15, 0x29, 0xfc, 0x27, 0x57, 0xd1, 0xf5, 0x34,
    0xdd, 0xc0, 0xdb, 0x62, 0x95, 0x99, 0x3c, 0x43, 0x90, 0x41,
];

/// The sine of an angle.
#[inline]
pub fn sin(x: f32) -> f32 {
    // The polynomial would lose the sign of −0.
    if x == 0.0 { x } else { sine_ahead(x, 0) }
}

/// The cosine of an angle.
#[inline]
pub fn cos(x: f32) -> f32 {
    sine_ahead(x, 1)
}

/// The sine of x and so many quarter turns; of what is not finite, NaN.
#[inline]
fn sine_ahead(x: f32, ahead: i32) -> f32 {
    let (turns, rest) = match x.abs() {
        // Less than half a quarter turn.
        0.0..0.75 => (0, f64::from(x)),
        0.75..FAR => reduce(x),
        FAR..=f32::MAX => reduce_far(x),
        _ => return x * 0.0,
    };
    let turns = turns + ahead;
    let value = if turns % 2 == 0 {
        sine(rest)
    } else {
        cosine(rest)
    };
    (if turns & 2 == 0 { value } else { -value }) as f32
}

/// Quarter turns and what is left of x.
#[inline]
fn reduce(x: f32) -> (i32, f64) {
    const HALF_PI: [f64; 2] = split(FRAC_PI_2);
    let x = f64::from(x);
    // Rounds what is left of 24 bits behind the point, the rest having been cut off.
    let turns = ((x * FRAC_2_PI * (1 << 24) as f64) as i32 + (1 << 23)) >> 24;
    (turns, reduced(f64::from(-turns), HALF_PI, x))
}

/// The same for large finite x, in integers.
///
/// |x| = m · 2^(8i − 22) with a whole m below 2³¹. Of 2/π only those 96 bits count whose product
/// with it is neither a multiple of four nor below the 94 bits behind the point that are kept.
fn reduce_far(x: f32) -> (i32, f64) {
    let exponent = (x.to_bits() >> 23) & 0xff;
    let m = (x.to_bits() & 0x007f_ffff | 0x0080_0000) << (exponent % 8);
    let i = (exponent / 8 - 16) as usize;
    let digits = TWO_OVER_PI[i..i + 12]
        .iter()
        .fold(0, |digits, &byte| digits << 8 | u128::from(byte));
    // Two bits of quarter turns and 62 behind the point.
    let product = ((u128::from(m) * digits) >> 32) as u64;
    let turns = product.wrapping_add(1 << 61) >> 62;
    let fraction = product.wrapping_sub(turns << 62).cast_signed() as f64;
    let rest = fraction * (FRAC_PI_2 / (1u64 << 62) as f64);
    if x > 0.0 {
        (turns as i32, rest)
    } else {
        (-(turns as i32), -rest)
    }
}

/// The sine of at most half a quarter turn.
#[inline]
fn sine(x: f64) -> f64 {
    const CUBIC: f64 = f64::from_bits(0xbfc5_5554_5995_a603);
    const FIFTH: f64 = f64::from_bits(0x3f81_1076_0523_0bc4);
    const SEVENTH: f64 = f64::from_bits(0xbf29_94eb_3774_cf24);
    let square = x * x;
    let cube = x * square;
    (x + cube * CUBIC) + cube * square * (FIFTH + square * SEVENTH)
}

/// The cosine of the same.
#[inline]
fn cosine(x: f64) -> f64 {
    const SQUARE: f64 = f64::from_bits(0xbfdf_ffff_fd0c_621c);
    const FOURTH: f64 = f64::from_bits(0x3fa5_5553_e106_8f19);
    const SIXTH: f64 = f64::from_bits(0xbf56_c087_e89a_359d);
    const EIGHTH: f64 = f64::from_bits(0x3ef9_9343_027b_f8c3);
    let square = x * x;
    let fourth = square * square;
    (1.0 + square * SQUARE + fourth * FOURTH) + fourth * square * (SIXTH + square * EIGHTH)
}
