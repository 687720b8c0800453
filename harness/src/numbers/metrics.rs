//! How far apart two rows of logits are: every number in f64, and none where there is none.
//!
//! A NaN or an infinity leaves the distances undefined (`None`) instead of turning them into a
//! NaN that every `distance > limit` lets pass.

mod ulps;

use serde::{Deserialize, Serialize};

pub use self::ulps::{UlpHistogram, most_ulps, ulps};

/// Differences of logits below this are summed as such.
const NEAR: f64 = 0.5;

/// Whether every bit is the same, also of what is no number.
pub fn same_bits(one: &[f32], other: &[f32]) -> bool {
    let mut pairs = one.iter().zip(other);
    one.len() == other.len() && pairs.all(|(one, other)| one.to_bits() == other.to_bits())
}

/// The distance between two rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distance {
    /// Values compared.
    pub values: usize,
    /// Values whose 32 bits are equal.
    pub bit_equal: usize,
    /// Values that are not finite in the first row, and in the second.
    pub not_finite: [usize; 2],
    /// `x·y / (|x| |y|)`; none if a value is not finite or a row is all zero.
    pub cosine: Option<f64>,
    /// `max |x − y|`.
    pub max_abs: Option<f64>,
    /// `Σ(x − y)² / Σx²`; none if x is all zero and y is not.
    pub nmse: Option<f64>,
}

/// The distance between two rows that come in pieces, or between many pairs of rows taken together.
#[derive(Debug, Clone, Default)]
pub struct Distances {
    values: usize,
    bit_equal: usize,
    not_finite: [usize; 2],
    max_abs: f64,
    /// `Σx²`, `Σy²`, `Σxy`, `Σ(x − y)²`.
    sums: [f64; 4],
}

impl Distances {
    /// Takes one more piece of both, which must be of one length.
    pub fn add(&mut self, theirs: &[f32], ours: &[f32]) {
        assert_eq!(theirs.len(), ours.len(), "rows are paired by the caller");
        // One pass, everything in registers: this is what most of a comparison's time goes into.
        let (mut bit_equal, mut not_finite, mut max_abs) = (0, [0, 0], self.max_abs);
        let [mut xx, mut yy, mut xy, mut squared_error] = self.sums;
        for (&x, &y) in theirs.iter().zip(ours) {
            bit_equal += usize::from(x.to_bits() == y.to_bits());
            not_finite[0] += usize::from(!x.is_finite());
            not_finite[1] += usize::from(!y.is_finite());
            let (x, y) = (f64::from(x), f64::from(y));
            max_abs = max_abs.max((x - y).abs());
            xx += x * x;
            yy += y * y;
            xy += x * y;
            squared_error += (x - y) * (x - y);
        }
        self.values += ours.len();
        self.bit_equal += bit_equal;
        self.not_finite = [0, 1].map(|side| self.not_finite[side] + not_finite[side]);
        self.max_abs = max_abs;
        self.sums = [xx, yy, xy, squared_error];
    }

    /// How far apart all of it is.
    pub fn total(&self) -> Distance {
        let [xx, yy, xy, squared_error] = self.sums;
        let finite = self.not_finite == [0, 0];
        Distance {
            values: self.values,
            bit_equal: self.bit_equal,
            not_finite: self.not_finite,
            cosine: (finite && xx > 0.0 && yy > 0.0)
                .then(|| (xy / (xx * yy).sqrt()).clamp(-1.0, 1.0)),
            max_abs: finite.then_some(self.max_abs),
            nmse: match (finite, xx > 0.0) {
                (false, _) => None,
                (true, true) => Some(squared_error / xx),
                (true, false) => (squared_error == 0.0).then_some(0.0),
            },
        }
    }
}

impl Distance {
    /// Compares `theirs` with `ours`, which must be of one length.
    pub fn between(theirs: &[f32], ours: &[f32]) -> Self {
        if let Some(none) = Self::of_the_same(theirs, ours) {
            return none;
        }
        let mut distances = Distances::default();
        distances.add(theirs, ours);
        distances.total()
    }

    /// What the sums come to where every bit is the same and every value a number, which is what
    /// most rows are: a tenth of the work, and no rounding can make another cosine of them than 1.
    fn of_the_same(theirs: &[f32], ours: &[f32]) -> Option<Self> {
        if theirs.len() != ours.len() {
            return None;
        }
        let (mut differing, mut any, mut finite) = (0, 0, true);
        for (x, y) in theirs.iter().zip(ours) {
            differing |= x.to_bits() ^ y.to_bits();
            any |= x.to_bits();
            finite &= x.is_finite();
        }
        let is_zero = any << 1 == 0;
        (differing == 0 && finite).then(|| Distance {
            values: theirs.len(),
            bit_equal: theirs.len(),
            not_finite: [0, 0],
            cosine: (!is_zero).then_some(1.0),
            max_abs: Some(0.0),
            nmse: Some(0.0),
        })
    }

    /// How far the values stand out of their error, in decibels: infinitely where there is none.
    pub fn sqnr(&self) -> Option<f64> {
        self.nmse.map(|nmse| -10.0 * nmse.log10())
    }

    /// Every bit is the same and every value is a number.
    pub fn is_bit_identical(&self) -> bool {
        self.bit_equal == self.values && self.not_finite == [0, 0]
    }

    /// Whether two rows can have these distances: equal bits leave none.
    pub fn is_possible(&self) -> bool {
        let apart = self.nmse != Some(0.0) || self.max_abs != Some(0.0);
        self.bit_equal <= self.values && !(self.is_bit_identical() && apart)
    }
}

/// `KL(p ‖ q)` in nats between the distributions two rows of logits stand for; none if a value is
/// not finite.
///
/// The difference of two logarithms has an error of 1e-15, as large as what single roundings
/// cause. Where all logits are near each other the sum is therefore taken over their differences
/// d from the mean difference, as `ln Σ p·exp(-d)`, which is as exact as the logits are.
pub fn divergence(theirs: &[f32], ours: &[f32]) -> Option<f64> {
    let p = log_softmax(theirs)?;
    let q = log_softmax(ours)?;
    let apart = || {
        let pairs = theirs.iter().zip(ours);
        pairs.map(|(x, y)| f64::from(*x) - f64::from(*y))
    };
    // Behind the first difference, so that a shift of all logits leaves exactly nothing.
    let first = apart().next()?;
    let beyond = p.iter().zip(apart()).map(|(p, d)| p.exp() * (d - first));
    let mean = first + beyond.sum::<f64>();
    let kl = if apart().all(|d| (d - mean).abs() < NEAR) {
        let terms = p.iter().zip(apart()).map(|(p, d)| {
            let d = d - mean;
            p.exp() * ((-d).exp_m1() + d)
        });
        terms.sum::<f64>().ln_1p()
    } else {
        p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum()
    };
    // The exact value is never negative; what rounding leaves below zero is zero.
    Some(kl.max(0.0))
}

/// `-ln p` of what came, under the distribution a row of logits stands for: how much it surprises,
/// in nats. None if a value is not finite or there is no such index.
pub fn surprise(row: &[f32], came: usize) -> Option<f64> {
    log_softmax(row)?.get(came).map(|log| -log)
}

/// The probability of the likeliest token under the distribution a row of logits stands for. None
/// if a value is not finite.
pub fn confidence(row: &[f32]) -> Option<f64> {
    let best = row[top1(row).filter(|_| row.iter().all(|v| v.is_finite()))?];
    let over = |&value: &f32| (f64::from(value) - f64::from(best)).exp();
    Some(1.0 / row.iter().map(over).sum::<f64>())
}

/// The index of the largest value; the lowest index wins a tie. None if there is no number.
pub fn top1(row: &[f32]) -> Option<usize> {
    ranked(row, 1).first().copied()
}

/// How many of the five largest values two rows have in common.
pub fn top5_overlap(theirs: &[f32], ours: &[f32]) -> usize {
    let ours = ranked(ours, 5);
    let theirs = ranked(theirs, 5);
    theirs.iter().filter(|i| ours.contains(i)).count()
}

/// The `count` likeliest tokens of each of two rows, and how likely each of them is in both, the
/// likeliest of the first row first; nothing if a value is not finite.
pub fn likeliest(theirs: &[f32], ours: &[f32], count: usize) -> Vec<(usize, [f64; 2])> {
    let rows = [theirs, ours].map(log_softmax);
    let [Some(p), Some(q)] = rows else {
        return Vec::new();
    };
    let mut tokens = ranked(theirs, count);
    let more = ranked(ours, count);
    tokens.extend(more.iter().filter(|t| **t < p.len()).copied());
    let mut listed = Vec::new();
    for token in tokens {
        let known = listed.iter().any(|(known, _)| *known == token);
        if let (false, Some(p), Some(q)) = (known, p.get(token), q.get(token)) {
            listed.push((token, [p.exp(), q.exp()]));
        }
    }
    listed
}

/// The middle value, the mean of the two middle ones if their number is even.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    match sorted.len() % 2 {
        1 => Some(upper),
        _ => Some((sorted[sorted.len() / 2 - 1] + upper) / 2.0),
    }
}

/// Indices of the `count` largest numbers, largest first, lowest index first among equals.
fn ranked(row: &[f32], count: usize) -> Vec<usize> {
    let mut best: Vec<usize> = Vec::with_capacity(count + 1);
    for (i, value) in row.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
        let place = best.partition_point(|&b| row[b] >= *value);
        if place < count {
            best.insert(place, i);
            best.truncate(count);
        }
    }
    best
}

/// The logarithms of the probabilities a row of logits stands for; none if a value is not finite.
pub fn log_softmax(row: &[f32]) -> Option<Vec<f64>> {
    if row.is_empty() || row.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let row: Vec<f64> = row.iter().map(|&v| v.into()).collect();
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let normaliser = max + row.iter().map(|v| (v - max).exp()).sum::<f64>().ln();
    Some(row.iter().map(|v| v - normaliser).collect())
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    #[test]
    fn distances_equal_what_a_hand_computes() {
        let d = Distance::between(&[3.0, 4.0], &[3.0, 0.0]);
        assert_eq!((d.values, d.bit_equal, d.not_finite), (2, 1, [0, 0]));
        assert_eq!(d.max_abs, Some(4.0));
        assert_eq!(d.nmse, Some(16.0 / 25.0));
        assert_eq!(d.cosine, Some(9.0 / 15.0));
        assert_relative_eq!(d.sqnr().expect("finite"), 1.938_200, max_relative = 1e-6);
        let same = Distance::between(&[0.1, -0.7, 3.3], &[0.1, -0.7, 3.3]);
        assert_eq!((same.cosine, same.nmse), (Some(1.0), Some(0.0)));
        assert_eq!(same.sqnr(), Some(f64::INFINITY));
        assert!(same.is_bit_identical() && same.is_possible() && d.is_possible());
        let nmse = Some(0.5);
        assert!(!Distance { nmse, ..same }.is_possible());
    }

    #[test]
    fn rows_of_the_same_numbers_have_the_distances_that_the_sums_give() {
        let series: Vec<f32> = (0..997).map(|i| (i as f32 * 0.37).sin() * 9.0).collect();
        let least = f32::from_bits(1);
        let rows: [&[f32]; 6] = [
            &series,
            &[f32::MAX, f32::MIN, 1.0],
            &[least, -least, 0.0],
            &[f32::MIN_POSITIVE, 3.0],
            &[0.0, -0.0],
            &[],
        ];
        for row in rows {
            let mut sums = Distances::default();
            sums.add(row, row);
            assert_eq!(Distance::of_the_same(row, row), Some(sums.total()));
        }
        for (one, other) in [(0.0, -0.0), (1.0, 1.0 + f32::EPSILON), (f32::NAN, f32::NAN)] {
            assert_eq!(Distance::of_the_same(&[3.0, one], &[3.0, other]), None);
        }
        assert_eq!(
            Distance::of_the_same(&[f32::INFINITY], &[f32::INFINITY]),
            None
        );
    }

    #[test]
    fn the_two_zeros_are_not_the_same_bits_but_the_same_number() {
        let d = Distance::between(&[0.0, 1.0], &[-0.0, 1.0]);
        assert_eq!((d.bit_equal, d.nmse), (1, Some(0.0)));
    }

    #[test]
    fn matching_infinities_and_nans_are_counted_and_leave_no_distance() {
        for broken in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            let d = Distance::between(&[broken, 1.0], &[broken, 1.0]);
            assert_eq!(d.not_finite, [1, 1]);
            assert_eq!((d.cosine, d.max_abs, d.nmse), (None, None, None));
            assert!(!d.is_bit_identical(), "two wrongs are not an agreement");
            assert_eq!(divergence(&[broken, 1.0], &[broken, 1.0]), None);
        }
    }

    #[test]
    fn a_row_of_zeros_has_no_direction() {
        let zeros = Distance::between(&[0.0, 0.0], &[0.0, 0.0]);
        assert_eq!((zeros.cosine, zeros.nmse), (None, Some(0.0)));
        let filled = Distance::between(&[0.0, 0.0], &[0.0, 1.0]);
        assert_eq!((filled.cosine, filled.nmse), (None, None));
    }

    #[test]
    fn divergence_of_two_coins() {
        // p = (1/2, 1/2), q = (3/4, 1/4): KL = ½ ln(2/3) + ½ ln 2 = ½ ln(4/3).
        let q = [3f32.ln(), 0.0];
        let expected = 0.5 * (4.0f64 / 3.0).ln();
        assert_relative_eq!(confidence(&q).expect("finite"), 0.75, max_relative = 1e-7);
        assert_eq!(confidence(&[0.0, f32::NAN]), None);
        assert_eq!(confidence(&[f32::INFINITY, 0.0]), None);
        let found = divergence(&[0.0, 0.0], &q).expect("finite");
        assert_relative_eq!(found, expected, max_relative = 1e-7);
        assert_eq!(divergence(&[5.0, 1.0], &[7.0, 3.0]), Some(0.0), "a shift");
        assert_eq!(
            divergence(&[1e4, 0.0], &[1e4, 0.0]),
            Some(0.0),
            "no overflow"
        );
    }

    #[test]
    fn the_divergence_of_a_single_rounding_is_exact() {
        // For a small δ at one of n equal logits: KL = δ²/2 · (1/n)(1 − 1/n) + O(δ³).
        for shift in [10, 14, 18, 22] {
            let delta = 0.5_f32.powi(shift);
            let (theirs, mut ours) = ([1.0_f32; 8], [1.0_f32; 8]);
            ours[3] += delta;
            let found = divergence(&theirs, &ours).expect("finite");
            let expected = f64::from(delta).powi(2) / 2.0 * (1.0 / 8.0) * (7.0 / 8.0);
            assert_relative_eq!(found, expected, max_relative = f64::from(delta));
        }
        // Where the two ways of summing meet, they agree.
        let near = |d: f32| divergence(&[0.0, 0.3, 1.0], &[d, 0.3, 1.0]).expect("finite");
        let ratio = near(0.74) / near(0.58);
        assert_relative_eq!(ratio, (0.74_f64 / 0.58).powi(2), max_relative = 0.1);
    }

    #[test]
    fn ranks_prefer_the_lowest_index_and_skip_nan() {
        assert_eq!(top1(&[1.0, 2.0, 2.0]), Some(1));
        assert_eq!(top1(&[f32::NAN, 0.5]), Some(1));
        assert_eq!(top1(&[f32::NAN]), None);
        assert_eq!(ranked(&[5.0, 1.0, 5.0, 3.0], 3), [0, 2, 3]);
        let a = [6.0, 5.0, 4.0, 3.0, 2.0, 1.0];
        assert_eq!(top5_overlap(&a, &a), 5);
        assert_eq!(top5_overlap(&a, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), 4);
    }

    #[test]
    fn the_likeliest_tokens_of_both_rows_have_both_probabilities() {
        let (theirs, ours) = ([3f32.ln(), 0.0, -9.0], [-9.0, 0.0, 3f32.ln()]);
        let found = likeliest(&theirs, &ours, 1);
        let tokens: Vec<usize> = found.iter().map(|(token, _)| *token).collect();
        assert_eq!(tokens, [0, 2]);
        assert_relative_eq!(found[0].1[0], 0.75, max_relative = 1e-4);
        assert_relative_eq!(found[1].1[1], 0.75, max_relative = 1e-4);
        assert!(found[0].1[1] < 1e-4 && found[1].1[0] < 1e-4);
        assert!(likeliest(&[f32::NAN, 1.0], &[0.0, 1.0], 1).is_empty());
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
