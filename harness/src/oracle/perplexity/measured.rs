//! The numbers of one computation of a text, chunk by chunk and then of all.

use engine::Token;
use serde::Serialize;

use crate::io::kl_base::CodedRow;
use crate::judge::tolerance::tolerances;
use crate::numbers::confidence::{Class, classes};
use crate::numbers::metrics::surprise;
use crate::numbers::rows_apart::{Believed, RowsApart};
use crate::numbers::statistics::{Spread, mean, quantile, standard_error};
use crate::runner::RunError;

/// Shares of the positions for which a divergence is told, as llama-perplexity tells them: the
/// first and the last are the smallest and the largest of all.
pub const SHARES: [f64; 11] = [
    0.0, 0.001, 0.01, 0.05, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0,
];

/// What one computation makes of the text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// Positions that count.
    pub positions: usize,
    /// `exp` of the mean surprise.
    pub perplexity: f64,
    /// What llama-perplexity prints behind `+/-`: every position taken for independent.
    pub standard_error: Option<f64>,
    /// Where it lies 19 times out of 20, chunks drawn again; none of a single one.
    pub interval: Option<[f64; 2]>,
    /// How far it lies from the first computation; none of the first itself.
    pub from_first: Option<FromFirst>,
}

/// The expectations of one computation against the first one's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FromFirst {
    /// This perplexity over the first one's, on the same tokens.
    pub ratio: f64,
    /// Where it lies 19 times out of 20.
    pub ratio_interval: Option<[f64; 2]>,
    /// Mean of `KL(first ‖ this)`.
    pub mean_kl: f64,
    /// Where it lies 19 times out of 20.
    pub interval: Option<[f64; 2]>,
    /// The middle one.
    pub median_kl: f64,
    /// The tail.
    pub tail_kl: f64,
    /// Below which each of [`SHARES`] lies.
    pub quantiles: Vec<f64>,
    /// By how likely the first one's likeliest token was.
    pub by_confidence: Vec<Class>,
    /// `√(Σ(x − y)² / Σx²)` over all logits, x being the first one's; none of log-probabilities.
    pub error: Option<f64>,
    /// The same in decibels, `10·log10(Σx² / Σ(x − y)²)`; none also where there is no error.
    pub sqnr: Option<f64>,
    /// Positions with the same most likely token.
    pub same_top1: usize,
    /// Logits whose bits are equal; of a file in 16 bits, codes that would have been the same.
    pub equal_logits: usize,
    /// All logits.
    pub logits: usize,
}

impl FromFirst {
    /// The largest divergence at any position.
    pub fn largest_kl(&self) -> f64 {
        self.quantiles.last().copied().unwrap_or_default()
    }
}

/// The numbers of one computation, chunk by chunk.
#[derive(Default)]
pub(super) struct Tally {
    surprise: Vec<Vec<f64>>,
    apart: RowsApart,
}

impl Tally {
    /// The rows of a chunk.
    pub(super) fn add(
        &mut self,
        rows: &[f32],
        width: usize,
        came: &[Token],
    ) -> Result<(), RunError> {
        let pairs = rows.chunks(width.max(1)).zip(came);
        let surprises = pairs.map(|(row, &came)| surprise(row, came as usize));
        self.take(surprises.collect(), came)
    }

    /// The same, of rows that were kept in 16 bits.
    pub(super) fn add_kept(&mut self, rows: &[CodedRow], came: &[Token]) -> Result<(), RunError> {
        let pairs = rows.iter().zip(came);
        let surprise = |(row, &came): (&CodedRow, &Token)| row.log_probability(came as usize);
        let surprises = pairs
            .map(surprise)
            .map(|log| log.map(|log| -f64::from(log)));
        self.take(surprises.collect(), came)
    }

    fn take(&mut self, surprises: Option<Vec<f64>>, came: &[Token]) -> Result<(), RunError> {
        let surprises = surprises.filter(|surprises| surprises.len() == came.len());
        let why = || RunError::NotFinite("a logit is not finite, or a row is missing".into());
        self.surprise.push(surprises.ok_or_else(why)?);
        Ok(())
    }

    /// How far a chunk's rows lie from the first computation's.
    pub(super) fn add_distance(
        &mut self,
        first: &Believed,
        rows: &[f32],
        width: usize,
    ) -> Result<(), RunError> {
        self.apart
            .add(first, rows, width)
            .map_err(RunError::Refused)
    }

    /// The surprises, by chunk.
    pub(super) fn surprises(&self) -> &[Vec<f64>] {
        &self.surprise
    }

    /// What it comes to; `first` are the surprises of the first computation.
    pub(super) fn measured(&self, first: &[f64]) -> Measured {
        let interval = &tolerances().interval;
        let all = self.surprise.concat();
        let perplexity = mean(&all).unwrap_or(f64::NAN).exp();
        Measured {
            positions: all.len(),
            perplexity,
            standard_error: standard_error(&all).map(|error| error * perplexity),
            interval: interval
                .of_mean(&self.surprise)
                .map(|ends| ends.map(f64::exp)),
            from_first: self.distance(first),
        }
    }

    fn distance(&self, first: &[f64]) -> Option<FromFirst> {
        let interval = &tolerances().interval;
        let mut ascending = self.apart.kl.concat();
        let spread = Spread::of(&ascending)?;
        ascending.sort_by(f64::total_cmp);
        let mut first = first.iter();
        let more = |chunk: &Vec<f64>| {
            let pairs = chunk.iter().zip(first.by_ref());
            pairs.map(|(own, first)| own - first).collect()
        };
        let more: Vec<Vec<f64>> = self.surprise.iter().map(more).collect();
        let distance = self.apart.distance();
        let error = distance.as_ref().and_then(|distance| distance.nmse);
        let sqnr = distance.and_then(|distance| distance.sqnr());
        let quantiles = SHARES.map(|share| quantile(&ascending, share));
        Some(FromFirst {
            ratio: mean(&more.concat())?.exp(),
            ratio_interval: interval.of_mean(&more).map(|ends| ends.map(f64::exp)),
            mean_kl: spread.mean,
            interval: interval.of_mean(&self.apart.kl),
            median_kl: spread.median,
            tail_kl: spread.tail,
            quantiles: quantiles.into_iter().flatten().collect(),
            by_confidence: classes(&self.apart.positions(), interval),
            error: error.map(f64::sqrt),
            sqnr: sqnr.filter(|sqnr| sqnr.is_finite()),
            same_top1: self.apart.same_top1,
            equal_logits: self.apart.equal,
            logits: self.apart.logits,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_missing_or_not_finite_is_no_perplexity() {
        let mut tally = Tally::default();
        assert!(tally.add(&[0.0, 1.0], 2, &[1, 0]).is_err());
        assert!(tally.add(&[0.0, f32::NAN], 2, &[1]).is_err());
        let first = Believed::Logits(vec![0.0, 1.0]);
        assert!(tally.add_distance(&first, &[0.0], 2).is_err());
        tally.add(&[0.0, 0.0, 0.0, 0.0], 4, &[2]).expect("a row");
        let measured = tally.measured(&[]);
        assert!((measured.perplexity - 4.0).abs() < 1e-12);
        assert_eq!((measured.positions, measured.interval), (1, None));
    }
}
