//! Activations in blocks of 256 int8 with one float scale: what TQ1_0, TQ2_0 and Q6_K meet.
#![forbid(unsafe_code)]

use crate::encoding::author::nearest_int;

/// Elements of a block.
pub const BLOCK: usize = 256;

/// One quantised block. Vectors of its integers and sums lie in a line of the cache each.
#[derive(Debug, Clone, PartialEq)]
#[repr(C, align(64))]
pub struct Q8K {
    /// The integers, −127 to 127.
    pub values: [i8; BLOCK],
    /// Sums of 16 neighbours, at most 16 · 127 each.
    pub sums: [i16; BLOCK / 16],
    /// Sums of two neighbours times −32, at most 32 · 254 each: what products with codes that are
    /// stored 32 too large lack. Shifted, it is what smaller offsets lack.
    pub less: [i16; BLOCK / 2],
    /// What the integers are multiplied by.
    pub scale: f32,
}

impl Default for Q8K {
    /// A block of zeros.
    fn default() -> Self {
        Q8K::new(0.0, [0; BLOCK])
    }
}

impl Q8K {
    /// Integers under a scale, and their sums.
    #[inline(always)]
    pub fn new(scale: f32, values: [i8; BLOCK]) -> Self {
        let mut sums = [0; BLOCK / 16];
        for (sum, group) in sums.iter_mut().zip(values.as_chunks::<16>().0) {
            *sum = group.iter().map(|&value| i16::from(value)).sum();
        }
        let mut less = [0; BLOCK / 2];
        for (less, [a, b]) in less.iter_mut().zip(values.as_chunks::<2>().0) {
            *less = -32 * (i16::from(*a) + i16::from(*b));
        }
        Q8K {
            values,
            sums,
            less,
            scale,
        }
    }
}

/// Quantises whole blocks, appending to `out`.
pub fn quantise(values: &[f32], out: &mut Vec<Q8K>) {
    let (blocks, rest) = values.as_chunks::<BLOCK>();
    assert!(rest.is_empty(), "whole blocks of 256");
    out.extend(blocks.iter().map(quantise_block));
}

/// One block of 256. The element of largest magnitude, the first of equals, becomes −127.
#[inline(always)]
pub fn quantise_block(block: &[f32; BLOCK]) -> Q8K {
    let first_largest = |largest: f32, &x: &f32| if x.abs() > largest.abs() { x } else { largest };
    let largest = block.iter().fold(0.0, first_largest);
    if largest == 0.0 {
        return Q8K::default();
    }
    let inverse = -127.0 / largest;
    let values = block.map(|x| nearest_int(inverse * x).min(127) as i8);
    Q8K::new(1.0 / inverse, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_largest_becomes_minus_127() {
        let mut values = [0.0; BLOCK];
        (values[3], values[200], values[17]) = (-2.0, 2.0, 1.0);
        let mut out = Vec::new();
        quantise(&values, &mut out);
        let block = &out[0];
        assert_eq!((block.values[3], block.values[200]), (-127, 127));
        // −127 / −2 · 1 = 63.5 is a tie and goes to 64.
        assert_eq!(
            (block.values[17], block.sums[1], block.sums[0]),
            (64, 64, -127)
        );
        assert_eq!(block.scale, 1.0 / 63.5);
        assert_eq!(
            (block.less[1], block.less[8], block.less[100]),
            (32 * 127, -32 * 64, -32 * 127)
        );
    }

    #[test]
    fn zeros_and_nan_alone_have_scale_zero() {
        for x in [0.0, -0.0, f32::NAN] {
            let mut out = Vec::new();
            quantise(&[x; BLOCK], &mut out);
            assert_eq!((out[0].scale, out[0].values), (0.0, [0; BLOCK]));
        }
    }
}
