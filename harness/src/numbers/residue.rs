//! Whole numbers modulo a Mersenne prime, 2^BITS − 1: exact sums of products that fit a register.

use std::iter::Sum;
use std::ops::{Add, Mul};

use super::split_mix::SplitMix64;

/// One of them. The prime has at most 61 bits, so that eight residues can be added before one is
/// reduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Residue<const BITS: u32>(u64);

impl<const BITS: u32> Residue<BITS> {
    /// The prime.
    pub const MODULUS: u64 = (1 << BITS) - 1;

    /// What is left of a number.
    pub fn of(number: i64) -> Self {
        let positive = Self::reduce(number.unsigned_abs());
        if number < 0 {
            Residue((Self::MODULUS - positive.0) % Self::MODULUS)
        } else {
            positive
        }
    }

    /// What is left of a number without a sign.
    pub fn reduce(number: u64) -> Self {
        let folded = (number & Self::MODULUS) + (number >> BITS);
        Residue(folded % Self::MODULUS)
    }

    /// Each of them with the same probability.
    pub fn draw(dice: &mut SplitMix64) -> Self {
        loop {
            let bits = dice.bits() >> (u64::BITS - BITS);
            if bits < Self::MODULUS {
                return Residue(bits);
            }
        }
    }

    /// The number below the prime.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl<const BITS: u32> Add for Residue<BITS> {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self::reduce(self.0 + other.0)
    }
}

impl<const BITS: u32> Mul for Residue<BITS> {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let product = u128::from(self.0) * u128::from(other.0);
        let low = product as u64 & Self::MODULUS;
        Self::reduce(low + (product >> BITS) as u64)
    }
}

impl<const BITS: u32> Sum for Residue<BITS> {
    fn sum<I: Iterator<Item = Self>>(terms: I) -> Self {
        terms.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_products_are_those_of_wide_numbers() {
        let mut dice = SplitMix64(1);
        let modulus = i128::from(Residue::<61>::MODULUS);
        for _ in 0..1000 {
            let [a, b] = [dice.bits() as i64, dice.bits() as i64];
            let [x, y] = [a, b].map(Residue::<61>::of);
            let [wide_a, wide_b] = [a, b].map(|n| i128::from(n).rem_euclid(modulus));
            let found = [x, y, x + y, x * y].map(|r| i128::from(r.number()));
            let expected = [wide_a, wide_b, wide_a + wide_b, wide_a * wide_b];
            assert_eq!(found, expected.map(|n| n % modulus));
        }
    }

    #[test]
    fn every_residue_is_drawn_equally_often() {
        let mut dice = SplitMix64(2);
        let mut times = [0; 7];
        for _ in 0..7000 {
            times[Residue::<3>::draw(&mut dice).number() as usize] += 1;
        }
        assert!(times.iter().all(|n| (900..1100).contains(n)), "{times:?}");
    }
}
