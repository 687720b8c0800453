//! The tables against their definitions, in integers of any length: every entry is the nearest
//! there is.

use super::angle::TWO_OVER_PI;
use super::exponential::POWERS;
use super::logarithm::LOGARITHMS;
use super::power::INVERSES_AND_LOGARITHMS;
use std::cmp::Ordering;

/// Limbs of 32 bits, the lowest first.
type Natural = Vec<u32>;

fn natural(value: u64) -> Natural {
    vec![value as u32, (value >> 32) as u32]
}

/// 2^exponent.
fn power_of_two(exponent: usize) -> Natural {
    let mut limbs = vec![0; exponent / 32 + 1];
    limbs[exponent / 32] = 1 << (exponent % 32);
    limbs
}

fn product(a: &[u32], b: &[u32]) -> Natural {
    let mut out = vec![0u32; a.len() + b.len()];
    for (i, &a) in a.iter().enumerate() {
        let mut carry = 0;
        for (j, out) in out[i..].iter_mut().enumerate() {
            let b = b.get(j).copied().unwrap_or(0);
            carry += u64::from(*out) + u64::from(a) * u64::from(b);
            *out = carry as u32;
            carry >>= 32;
        }
    }
    out
}

fn quotient(a: &[u32], divisor: u64) -> Natural {
    let mut out = a.to_vec();
    let mut rest = 0;
    for limb in out.iter_mut().rev() {
        let value = rest << 32 | u64::from(*limb);
        *limb = (value / divisor) as u32;
        rest = value % divisor;
    }
    out
}

/// `sum += factor · a`; what is negative in between wraps and comes back.
fn add(sum: &mut [u32], a: &[u32], factor: i64) {
    let mut carry = 0;
    for (sum, &a) in sum.iter_mut().zip(a) {
        carry += i64::from(*sum) + factor * i64::from(a);
        *sum = carry as u32;
        carry >>= 32;
    }
}

fn compare(a: &[u32], b: &[u32]) -> Ordering {
    let limb = |a: &[u32], i| a.get(i).copied().unwrap_or(0);
    let limbs = (0..a.len().max(b.len())).rev();
    limbs.fold(Ordering::Equal, |order, i| {
        order.then(limb(a, i).cmp(&limb(b, i)))
    })
}

/// A double's significand as an integer of 53 bits.
fn significand(bits: u64) -> u64 {
    bits & ((1 << 52) - 1) | 1 << 52
}

#[test]
fn powers_are_the_nearest_doubles() {
    // Half a unit below and above the significand m, doubled: (2m ∓ 1)³² around 2^(i + 32 · 53).
    let to_the_32nd = |a: u64| (0..5).fold(natural(a), |a, _| product(&a, &a));
    for (i, bits) in POWERS.into_iter().enumerate() {
        assert_eq!(bits >> 52, 1023);
        let (middle, exact) = (2 * significand(bits), power_of_two(i + 32 * 53));
        assert_eq!(
            compare(&to_the_32nd(middle - 1), &exact),
            Ordering::Less,
            "{i}"
        );
        assert_eq!(
            compare(&to_the_32nd(middle + 1), &exact),
            Ordering::Greater,
            "{i}"
        );
    }
}

/// Behind the point of the fixed-point numbers below.
const FRACTION: usize = 320;

/// Machin's formula.
fn pi() -> Natural {
    let mut pi = vec![0; FRACTION / 32 + 1];
    for (factor, n) in [(16, 5), (-4, 239)] {
        let (mut power, mut sign) = (quotient(&power_of_two(FRACTION), n), 1);
        for k in (1..).step_by(2).take_while(|k| k / 2 < FRACTION as u64) {
            add(&mut pi, &quotient(&power, k), factor * sign);
            (power, sign) = (quotient(&power, n * n), -sign);
        }
    }
    pi
}

#[test]
fn two_over_pi_is_cut_off_behind_its_last_bit() {
    let digits: Natural = TWO_OVER_PI[3..]
        .rchunks(4)
        .map(|bytes| {
            bytes
                .iter()
                .fold(0, |limb, &byte| limb << 8 | u32::from(byte))
        })
        .collect();
    let mut above = digits.clone();
    above[0] += 1;
    let two = power_of_two(1 + 8 * (TWO_OVER_PI.len() - 3) + FRACTION);
    assert_eq!(compare(&product(&digits, &pi()), &two), Ordering::Less);
    assert_eq!(compare(&product(&above, &pi()), &two), Ordering::Greater);
}

/// 64 bits behind the point of the binary logarithm of m · 2⁻⁵², by squaring.
fn logarithm(m: u64) -> u64 {
    let mut x = product(&natural(m), &power_of_two(FRACTION - 52));
    let two = power_of_two(FRACTION + 1);
    let mut bits = 0;
    for _ in 0..64 {
        x = product(&x, &x)[FRACTION / 32..][..FRACTION / 32 + 1].to_vec();
        let at_least_two = compare(&x, &two) != Ordering::Less;
        if at_least_two {
            x = quotient(&x, 2);
        }
        bits = bits << 1 | u64::from(at_least_two);
    }
    bits
}

/// Of the inverse of a table's entry, with 64 bits behind the point.
fn binary_logarithm_of_inverse(inverse: u64) -> i128 {
    let whole = i128::from(inverse >> 52) - 1023;
    -((whole << 64) + i128::from(logarithm(significand(inverse))))
}

/// Whether a double is the nearest to a number with 64 bits behind the point.
fn assert_nearest(stored: u64, exact: i128, inverse: u64) {
    let stored = f64::from_bits(stored);
    let error = exact - (stored * 2f64.powi(64)) as i128;
    // The unit in the last place is 2⁻⁵² of the power of two below; 2 for the bits cut off.
    let unit = (stored.abs().to_bits() >> 52 << 52, 2f64.powi(64 - 52));
    let half = (f64::from_bits(unit.0) * unit.1 / 2.0) as i128 + 2;
    assert!(error.abs() <= half, "{inverse:#x}: {error} of {half}");
}

#[test]
fn logarithms_are_the_nearest_doubles_to_those_of_the_inverses() {
    /// The natural logarithm of two, with 64 bits behind the point.
    const LN_2: i128 = 0xb172_17f7_d1cf_79ac;
    for ([inverse, binary], natural) in INVERSES_AND_LOGARITHMS.into_iter().zip(LOGARITHMS) {
        let exact = binary_logarithm_of_inverse(inverse);
        assert_nearest(binary, exact, inverse);
        assert_nearest(natural, (exact * LN_2) >> 64, inverse);
    }
}
