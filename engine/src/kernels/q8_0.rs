//! Activations in blocks of 32 int8 with one scale rounded to f16: what Q8_0 weights meet.
#![forbid(unsafe_code)]

use crate::encoding::author::truncate;

/// Elements of a block.
pub const BLOCK: usize = 32;

/// One quantised block.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Q8Block {
    /// What the integers are multiplied by; an f16 widened again.
    pub scale: f32,
    /// The integers, −127 to 127; −128 only where the scale is 0, not finite, or hidden by a
    /// NaN.
    pub values: [i8; BLOCK],
}

/// Quantises whole blocks, appending to `out`.
pub fn quantise(values: &[f32], out: &mut Vec<Q8Block>) {
    let (blocks, rest) = values.as_chunks::<BLOCK>();
    assert!(rest.is_empty(), "whole blocks of 32");
    out.extend(blocks.iter().map(quantise_block));
}

/// One block of 32. Ties go to even here, unlike in the quantiser of the weights, and the integers
/// come from the exact scale, not from the rounded one that is kept.
#[inline(always)]
pub fn quantise_block(block: &[f32; BLOCK]) -> Q8Block {
    let (scale, inverse) = scale_and_inverse(block);
    Q8Block {
        scale: half::f16::from_f32(scale).to_f32(),
        values: block.map(|x| to_i8((x * inverse).round_ties_even())),
    }
}

/// What the integers are multiplied by, and what they were made with.
#[inline(always)]
pub(super) fn scale_and_inverse(block: &[f32; BLOCK]) -> (f32, f32) {
    let max = largest(block);
    let inverse = if max == 0.0 { 0.0 } else { 127.0 / max };
    (max / 127.0, inverse)
}

/// The largest magnitude, in the order of eight lanes, which only a NaN can tell from another:
/// as on x86 it loses against what comes later.
fn largest(block: &[f32; BLOCK]) -> f32 {
    let later = |earlier: f32, later: f32| if earlier > later { earlier } else { later };
    let [first, rest @ ..] = block.as_chunks::<8>().0 else {
        unreachable!("four vectors");
    };
    let mut lanes = first.map(f32::abs);
    for vector in rest {
        for (lane, x) in lanes.iter_mut().zip(vector) {
            *lane = later(*lane, x.abs());
        }
    }
    let quad: [f32; 4] = std::array::from_fn(|i| later(lanes[i + 4], lanes[i]));
    let pair = [later(quad[0], quad[2]), later(quad[1], quad[3])];
    later(pair[0], pair[1])
}

/// What the conversion of x86 makes of a rounded float: the nearest end of `i8`, and −128 where it
/// is no `i32` either, as in a block of subnormals, whose inverse scale is infinite.
fn to_i8(x: f32) -> i8 {
    truncate(x).clamp(-128, 127) as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_by_hand() {
        let mut values = [0.0; BLOCK];
        (values[0], values[1], values[2]) = (254.0, 1.0, -3.0);
        let mut out = Vec::new();
        quantise(&values, &mut out);
        // Scale 2; 0.5 and −1.5 are ties.
        assert_eq!(out[0].scale, 2.0);
        assert_eq!(out[0].values[..3], [127, 0, -2]);
    }

    #[test]
    fn a_nan_loses_against_what_comes_later() {
        let quantised = |at: usize| {
            let mut values = [1.0; BLOCK];
            values[at] = f32::NAN;
            let mut out = Vec::new();
            quantise(&values, &mut out);
            out[0]
        };
        // In the first vector the second one's lane takes over; the last one of a lane that is
        // last itself stays.
        assert_eq!(
            quantised(0).scale,
            half::f16::from_f32(1.0 / 127.0).to_f32()
        );
        assert_eq!(quantised(0).values[..2], [-128, 127]);
        assert!(quantised(27).scale.is_nan());
        // A value the NaN has hidden from the scale saturates.
        let mut values = [1.0; BLOCK];
        (values[16], values[24]) = (300.0, f32::NAN);
        let mut out = Vec::new();
        quantise(&values, &mut out);
        assert_eq!(out[0].values[16], 127);
    }

    #[test]
    fn zeros_have_scale_zero() {
        let mut out = Vec::new();
        quantise(&[0.0; BLOCK], &mut out);
        assert_eq!((out[0].scale, out[0].values), (0.0, [0; BLOCK]));
    }

    #[test]
    fn denormals_alone_have_scale_zero_and_no_sensible_integers() {
        let mut out = Vec::new();
        quantise(&[1e-42; BLOCK], &mut out);
        assert_eq!((out[0].scale, out[0].values), (0.0, [-128; BLOCK]));
    }
}
