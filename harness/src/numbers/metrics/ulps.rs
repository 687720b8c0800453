//! How many representable values lie between two numbers, and how often how many do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The first distance of each bucket but the last two.
const FROM: [u64; 8] = [0, 1, 2, 4, 8, 16, 256, 65_536];
const NAMES: [&str; 10] = [
    "0",
    "1",
    "2–3",
    "4–7",
    "8–15",
    "16–255",
    "256–65535",
    "more",
    "sign",
    "no number",
];

/// How many representable values lie between two numbers, one step for the next one; none if one
/// of them is NaN.
pub fn ulps([a, b]: [f32; 2]) -> Option<u64> {
    // Negative numbers count downwards from zero, so that the order of bits is that of values.
    let ordered = |v: f32| {
        if v.is_sign_negative() {
            -i64::from(v.to_bits() & 0x7fff_ffff)
        } else {
            i64::from(v.to_bits())
        }
    };
    (!a.is_nan() && !b.is_nan()).then(|| ordered(a).abs_diff(ordered(b)))
}

/// The most representable values between two numbers of a pair; none if one of them is NaN.
pub fn most_ulps(theirs: &[f32], ours: &[f32]) -> Option<u64> {
    let mut pairs = theirs.iter().zip(ours);
    pairs.try_fold(0, |most, (&x, &y)| Some(ulps([x, y])?.max(most)))
}

/// Pairs of numbers by how far apart they are; pairs of other signs and of no numbers have buckets
/// of their own, because their distance says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UlpHistogram([usize; 10]);

impl UlpHistogram {
    /// Counts the pairs of two rows.
    pub fn add(&mut self, theirs: &[f32], ours: &[f32]) {
        if theirs == ours {
            self.0[0] += ours.len(); // equal numbers are none apart, and most rows are such
            return;
        }
        for (&a, &b) in theirs.iter().zip(ours) {
            self.0[bucket(a, b)] += 1;
        }
    }

    /// Every bucket: how far apart its pairs are, and how many there are.
    pub fn buckets(&self) -> impl Iterator<Item = (&'static str, usize)> {
        NAMES.into_iter().zip(self.0)
    }
}

fn bucket(a: f32, b: f32) -> usize {
    match ulps([a, b]) {
        None => 9,
        Some(_) if a.is_sign_negative() != b.is_sign_negative() && a != b => 8,
        Some(apart) => FROM.partition_point(|&from| from <= apart) - 1,
    }
}

impl fmt::Display for UlpHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let filled = self.0.iter().zip(NAMES).filter(|(count, _)| **count > 0);
        let shown: Vec<String> = filled
            .map(|(count, name)| format!("{name}: {count}"))
            .collect();
        f.write_str(&shown.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ulps_count_through_zero() {
        assert_eq!(ulps([1.0, 1.0 + f32::EPSILON]), Some(1));
        assert_eq!(ulps([-0.0, 0.0]), Some(0));
        assert_eq!(ulps([-f32::from_bits(1), f32::from_bits(2)]), Some(3));
        assert_eq!(ulps([f32::NAN, 0.0]), None);
        let next = 1.0 + f32::EPSILON;
        assert_eq!(most_ulps(&[1.0, 2.0, 1.0], &[1.0, 2.0, next]), Some(1));
        assert_eq!(most_ulps(&[1.0, f32::NAN], &[next, 1.0]), None);
    }

    #[test]
    fn every_pair_has_one_bucket() {
        let up = |steps: u32| f32::from_bits(1f32.to_bits() + steps);
        let apart = [0, 1, 3, 4, 15, 255, 256, 65_536].map(|steps| (1.0, up(steps)));
        let pairs = [&apart[..], &[(1.0, -1.0), (1.0, f32::NAN), (-0.0, 0.0)]].concat();
        let (theirs, ours): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
        let mut counted = UlpHistogram::default();
        counted.add(&theirs, &ours);
        assert_eq!(counted.0, [2, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
        let mut equal = UlpHistogram::default();
        equal.add(&[1.0, -0.0], &[1.0, 0.0]);
        equal.add(&[1.0, f32::NAN], &[1.0, f32::NAN]);
        assert_eq!((equal.0[0], equal.0[9]), (3, 1));
        let shown = counted.to_string();
        assert!(shown.starts_with("0: 2, 1: 1, 2–3: 1"), "{shown}");
        assert_eq!(UlpHistogram::default().to_string(), "");
    }
}
