//! Activations in blocks of 32 int8 with the sum of their values: what Q4_1 and Q5_1 weights meet,
//! whose minimum is multiplied with that sum.
#![forbid(unsafe_code)]

use super::q8_0::{self, Q8Block};
use super::whole_blocks;
use crate::encoding::author::truncate;

/// Elements of a block.
pub const BLOCK: usize = q8_0::BLOCK;

/// One quantised block.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Q8Sum {
    /// Scale and integers.
    pub block: Q8Block,
    /// What the integers stand for, added up; an f16 widened again.
    pub sum: f32,
}

/// One block of 32, as x86 builds quantise. The sum is made of the exact scale.
#[inline(always)]
pub fn quantise_block(values: &[f32; BLOCK]) -> Q8Sum {
    let (scale, inverse) = q8_0::scale_and_inverse(values);
    let integers = values.map(|x| truncate((x * inverse).round_ties_even()));
    Q8Sum {
        block: q8_0::quantise_block(values),
        sum: half(scale * added(&integers)),
    }
}

/// One block of 32, as aarch64 builds quantise.
#[inline(always)]
pub fn quantise_whole_block(values: &[f32; BLOCK]) -> Q8Sum {
    let (scale, inverse) = whole_blocks::scale_and_inverse(values);
    let integers = values.map(|x| (x * inverse).round_ties_even() as i32);
    Q8Sum {
        block: whole_blocks::quantise_block(values),
        sum: half(scale * added(&integers)),
    }
}

fn added(integers: &[i32; BLOCK]) -> f32 {
    integers.iter().fold(0i32, |sum, &i| sum.wrapping_add(i)) as f32
}

fn half(x: f32) -> f32 {
    half::f16::from_f32(x).to_f32()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_by_hand() {
        let mut values = [0.0; BLOCK];
        (values[0], values[1], values[2]) = (254.0, 1.0, -3.0);
        for quantise in [quantise_block, quantise_whole_block] {
            let out = quantise(&values);
            // Scale 2; 0.5 and −1.5 are ties that go to even.
            assert_eq!(out.block.values[..3], [127, 0, -2]);
            assert_eq!((out.block.scale, out.sum), (2.0, 250.0));
        }
    }
}
