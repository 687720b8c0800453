//! What is said about many positions at once: middles, means, tails, and how sure they are.

use serde::{Deserialize, Serialize};

use crate::numbers::metrics::median;
use crate::numbers::split_mix::SplitMix64;

/// Positions from which on one in a thousand is a number of its own.
const FOR_A_QUANTILE: usize = 10_000;
/// Positions that stand for the tail where there are fewer.
const WORST: usize = 10;

/// Which number stands for the tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tail {
    /// Exceeded by one position in a thousand.
    P999,
    /// The mean of the ten largest, or of all if there are fewer.
    WorstTen,
}

impl Tail {
    /// The one for so many positions.
    pub fn of(positions: usize) -> Self {
        if positions >= FOR_A_QUANTILE {
            Tail::P999
        } else {
            Tail::WorstTen
        }
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Tail::P999 => "p99.9",
            Tail::WorstTen => "mean of the worst 10",
        }
    }
}

/// The middle, the mean and the tail of some numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// Their mean.
    pub mean: f64,
    /// Their tail, whichever [`Tail`] fits their number.
    pub tail: f64,
}

impl Spread {
    /// Of these numbers; none if there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        Some(Spread {
            median: median(values)?,
            mean: mean(values)?,
            tail: tail(values)?,
        })
    }
}

/// The mean; none of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Below which that share of some ascending numbers lies, between two neighbours in proportion;
/// none of nothing.
pub fn quantile(ascending: &[f64], share: f64) -> Option<f64> {
    let last = ascending.len().checked_sub(1)?;
    let place = share.clamp(0.0, 1.0) * last as f64;
    let (below, beyond) = (place as usize, place.fract());
    let above = ascending[(below + 1).min(last)];
    Some((1.0 - beyond) * ascending[below] + beyond * above)
}

/// How far a mean of independent numbers may lie from the truth: the root of their variance over
/// their number less one. None of fewer than two.
pub fn standard_error(values: &[f64]) -> Option<f64> {
    let mean = mean(values)?;
    let less_one = values.len().checked_sub(1).filter(|&n| n > 0)?;
    let squares = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>();
    Some((squares / values.len() as f64 / less_one as f64).sqrt())
}

fn tail(values: &[f64]) -> Option<f64> {
    let mut falling = values.to_vec();
    falling.sort_by(|a, b| b.total_cmp(a));
    match Tail::of(falling.len()) {
        Tail::P999 => falling.get(falling.len() / 1000).copied(),
        Tail::WorstTen => mean(&falling[..falling.len().min(WORST)]),
    }
}

/// How intervals are made.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intervals {
    /// How sure they are.
    pub confidence: f64,
    /// How often the documents are drawn again.
    pub resamples: usize,
    /// Where the drawing starts, so that the same numbers have the same interval.
    pub seed: u64,
}

impl Intervals {
    /// Where the mean over all positions lies, drawing whole documents: the positions of one text
    /// depend on each other. None of fewer than two documents.
    pub fn of_mean(&self, documents: &[Vec<f64>]) -> Option<[f64; 2]> {
        let sums = documents.iter().map(|d| (d.iter().sum::<f64>(), d.len()));
        let sums: Vec<(f64, usize)> = sums.filter(|(_, count)| *count > 0).collect();
        if sums.len() < 2 {
            return None;
        }
        let mut random = SplitMix64(self.seed);
        let mut again = || {
            let drawn = (0..sums.len()).map(|_| sums[random.below(sums.len())]);
            let (sum, count) = drawn.fold((0.0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
            sum / count as f64
        };
        let mut means: Vec<f64> = (0..self.resamples).map(|_| again()).collect();
        means.sort_by(f64::total_cmp);
        let beyond = (self.resamples as f64 * self.beyond()) as usize;
        Some([means[beyond], means[self.resamples - 1 - beyond]])
    }

    /// Where the middle of some numbers lies. None of fewer than two.
    pub fn of_median(&self, values: &[f64]) -> Option<[f64; 2]> {
        if values.len() < 2 {
            return None;
        }
        let mut random = SplitMix64(self.seed);
        let mut again = || {
            let drawn = values.iter().map(|_| values[random.below(values.len())]);
            median(&drawn.collect::<Vec<_>>())
        };
        let mut medians: Vec<f64> = (0..self.resamples).map_while(|_| again()).collect();
        medians.sort_by(f64::total_cmp);
        let beyond = (self.resamples as f64 * self.beyond()) as usize;
        Some([medians[beyond], medians[self.resamples - 1 - beyond]])
    }

    /// Where a share lies of which `hits` of `trials` were seen (Clopper and Pearson). By hand, as
    /// the inverse of the beta distribution in `statrs` is off by 2e-8 for 3 of 7214.
    pub fn of_share(&self, hits: usize, trials: usize) -> [f64; 2] {
        let misses = trials - hits;
        [
            self.least_share(hits, trials),
            1.0 - self.least_share(misses, trials),
        ]
    }

    /// Whether intervals can be made of it.
    pub fn is_sound(&self) -> bool {
        self.confidence > 0.0 && self.confidence < 1.0 && self.resamples > 0
    }

    /// How likely the truth lies beyond one end.
    fn beyond(&self) -> f64 {
        (1.0 - self.confidence) / 2.0
    }

    /// The smallest share with which so many hits or more are not yet too unlikely.
    fn least_share(&self, hits: usize, trials: usize) -> f64 {
        if hits == 0 {
            return 0.0;
        }
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            let too_small = at_least(hits, trials, middle) < self.beyond();
            *(if too_small { &mut low } else { &mut high }) = middle;
        }
        low
    }
}

/// How likely `hits` or more of `trials` are, each with this probability, strictly between 0 and 1.
fn at_least(hits: usize, trials: usize, probability: f64) -> f64 {
    let odds = probability / (1.0 - probability);
    // From "none at all" upwards, each from the one before; logarithms, as some are tiny.
    let mut logarithm = trials as f64 * (-probability).ln_1p();
    let mut likely = 0.0;
    for k in 0..=trials {
        if k >= hits {
            likely += logarithm.exp();
        }
        logarithm += ((trials - k) as f64 / (k + 1) as f64 * odds).ln();
    }
    likely.min(1.0)
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    const INTERVALS: Intervals = Intervals {
        confidence: 0.95,
        resamples: 10_000,
        seed: 1,
    };

    #[test]
    fn the_tail_is_what_its_name_says() {
        let few: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(Spread::of(&few).map(|s| s.tail), Some(94.5));
        assert_eq!(Spread::of(&[1.0, 3.0]).map(|s| s.tail), Some(2.0));
        let many: Vec<f64> = (0..10_000).map(f64::from).collect();
        assert_eq!(Spread::of(&many).map(|s| s.tail), Some(9989.0));
        assert_eq!(Tail::of(9_999), Tail::WorstTen);
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn quantiles_lie_between_neighbours_and_a_mean_has_an_error() {
        let few = [1.0, 2.0, 4.0];
        let found = [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| quantile(&few, share));
        assert_eq!(found, [1.0, 1.5, 2.0, 3.0, 4.0].map(Some));
        assert_eq!(
            (quantile(&[], 0.5), quantile(&[7.0], 0.9)),
            (None, Some(7.0))
        );
        // Variance 2/3 over two.
        assert_eq!(
            standard_error(&[1.0, 2.0, 3.0]),
            Some((1.0f64 / 3.0).sqrt())
        );
        assert_eq!(standard_error(&[1.0]), None);
    }

    #[test]
    fn one_bad_position_moves_the_tail_and_not_the_middle() {
        let mut values = vec![1e-14; 1000];
        values[500] = 1e-3;
        let spread = Spread::of(&values).expect("numbers");
        assert_eq!(spread.median, 1e-14);
        assert!(spread.tail > 9e-5 && spread.mean < 2e-6);
    }

    #[test]
    fn whole_documents_are_drawn() {
        // A thousand positions that depend on each other say no more than their two documents.
        let documents = [vec![0.0; 500], vec![1.0; 500]];
        assert_eq!(INTERVALS.of_mean(&documents), Some([0.0, 1.0]));
        assert_eq!(INTERVALS.of_mean(&documents[..1]), None);
        let equal = vec![vec![0.5; 3]; 24];
        assert_eq!(INTERVALS.of_mean(&equal), Some([0.5, 0.5]));
        assert_eq!(INTERVALS.of_mean(&documents), INTERVALS.of_mean(&documents));
    }

    #[test]
    fn a_median_lies_among_what_was_seen_and_is_surer_the_more_there_is() {
        assert_eq!(INTERVALS.of_median(&[2.0; 9]), Some([2.0, 2.0]));
        assert_eq!(INTERVALS.of_median(&[2.0]), None);
        let wide = |count: u32| {
            let values: Vec<f64> = (0..count).map(|i| f64::from(i % 10)).collect();
            let [low, high] = INTERVALS.of_median(&values).expect("enough");
            assert!((0.0..=4.5).contains(&low) && (4.5..=9.0).contains(&high));
            high - low
        };
        assert!(wide(200) < wide(20));
    }

    #[test]
    fn shares_have_the_intervals_of_the_tables() {
        // No miss in n trials: the lower end is 0.025^(1/n).
        let [low, high] = INTERVALS.of_share(8356, 8356);
        assert_relative_eq!(low, 0.025f64.powf(1.0 / 8356.0), max_relative = 1e-9);
        assert_eq!(high, 1.0);
        // Five of ten, as printed in every table.
        let [low, high] = INTERVALS.of_share(5, 10);
        assert_relative_eq!(low, 0.187_086, max_relative = 1e-5);
        assert_relative_eq!(high, 0.812_914, max_relative = 1e-5);
        assert_eq!(INTERVALS.of_share(0, 4)[0], 0.0);
        assert_eq!(INTERVALS.of_share(0, 0), [0.0, 1.0]);
    }
}
