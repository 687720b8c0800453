//! Log-probabilities in 16 bits, as llama-perplexity rounds them, and the divergence of a row of
//! logits from them as it sums it.
//!
//! A file of these is what the field keeps of a model that is too large to run beside another. What
//! it keeps is coarse: a step is up to 2.4e-4, and what is less likely than `exp(-16)` times the
//! likeliest is cut. To compare two such files by bits, everything here is computed in the order
//! and in the precision of that program.

use engine::numerics::libm::exp;

use crate::io::kl_base::CodedRow;
use crate::numbers::metrics::top1;

/// Logits so far below the largest are cut, and log-probabilities below it leave the sum.
const CUT: f32 = 16.0;
/// The largest code.
const LARGEST: f32 = 65535.0;

/// The largest logit, the smallest, and the logarithm of the sum of `exp(logit - largest)`.
fn scan(logits: &[f32]) -> (f32, f32, f32) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let smallest = logits.iter().copied().fold(f32::INFINITY, f32::min);
    let sum: f64 = logits.iter().map(|&l| f64::from(exp(l - largest))).sum();
    (largest, smallest, sum.ln() as f32)
}

impl CodedRow {
    /// Of a row of logits; nothing where one is not finite, or there is none.
    pub fn of(logits: &[f32]) -> Option<Self> {
        if logits.is_empty() || logits.iter().any(|logit| !logit.is_finite()) {
            return None;
        }
        let (largest, smallest, log_sum) = scan(logits);
        let smallest = smallest.max(largest - CUT);
        let step = (largest - smallest) / LARGEST;
        let per_step = if step > 0.0 { 1.0 / step } else { 0.0 };
        let code = |&logit: &f32| (per_step * (logit - smallest)).round_ties_even() as u16;
        Some(CodedRow {
            step,
            least: smallest - largest - log_sum,
            codes: logits.iter().map(code).collect(),
        })
    }

    /// The log-probability of a token.
    pub fn log_probability(&self, token: usize) -> Option<f32> {
        self.codes.get(token).map(|&code| self.decoded(code))
    }

    /// Those of all tokens.
    pub fn log_probabilities(&self) -> impl Iterator<Item = f32> {
        self.codes.iter().map(|&code| self.decoded(code))
    }

    fn decoded(&self, code: u16) -> f32 {
        self.step * f32::from(code) + self.least
    }

    /// `KL(these ‖ logits)`, summed over the tokens that are not cut; nothing where a logit is not
    /// finite or their numbers differ.
    pub fn divergence(&self, logits: &[f32]) -> Option<f64> {
        let comparable = logits.len() == self.codes.len() && logits.iter().all(|l| l.is_finite());
        if !comparable || logits.is_empty() {
            return None;
        }
        let (largest, _, log_sum) = scan(logits);
        let normaliser = largest + log_sum;
        let kept = self.log_probabilities().zip(logits);
        let kept = kept.filter(|(p, _)| *p > -CUT);
        Some(
            kept.map(|(p, &logit)| f64::from(exp(p) * (p - logit + normaliser)))
                .sum(),
        )
    }

    /// The token with the largest code, the lowest index first.
    pub fn top1(&self) -> Option<usize> {
        top1(&self.log_probabilities().collect::<Vec<_>>())
    }

    /// The probability of the likeliest token.
    pub fn confidence(&self) -> Option<f64> {
        let most = self.log_probabilities().reduce(f32::max)?;
        Some(f64::from(most).exp())
    }

    /// How far a mean over the tokens that are kept can lie from the same without rounding.
    pub fn half_a_step(&self) -> f64 {
        f64::from(self.step) / 2.0
    }

    /// The probability of all that is cut.
    pub fn cut(&self) -> f64 {
        let kept = self.log_probabilities().filter(|p| *p > -CUT);
        let kept: f64 = kept.map(|p| f64::from(p).exp()).sum();
        (1.0 - kept).max(0.0)
    }

    /// Codes that are the same; none are where the same code stands for something else.
    pub fn equal_codes(&self, other: &CodedRow) -> usize {
        let head = |row: &CodedRow| [row.step.to_bits(), row.least.to_bits()];
        let pairs = self.codes.iter().zip(&other.codes);
        let equal = pairs.filter(|(one, other)| one == other).count();
        if head(self) == head(other) { equal } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::metrics::{divergence, log_softmax};

    fn logits() -> Vec<f32> {
        (0..257)
            .map(|i| ((i * 37) % 257) as f32 * 0.05 - 3.0)
            .collect()
    }

    #[test]
    fn a_code_is_the_nearest_step_and_what_is_cut_is_the_least() {
        let mut logits = logits();
        logits[9] = 20.0;
        let row = CodedRow::of(&logits).expect("finite");
        let exact = log_softmax(&logits).expect("finite");
        assert_eq!(row.codes[9], 65535);
        for (token, exact) in exact.iter().enumerate() {
            let kept = f64::from(row.log_probability(token).expect("inside"));
            let cut = logits[token] <= 4.0;
            assert!(!cut || row.codes[token] == 0, "token {token}");
            assert!(cut || (kept - exact).abs() < row.half_a_step() + 2e-6);
        }
        assert_eq!(row.log_probability(257), None);
        assert!(row.cut() > 0.0 && row.cut() < 1e-4, "{}", row.cut());
    }

    #[test]
    fn a_divergence_is_the_exact_one_as_far_as_the_steps_show_it() {
        let theirs = logits();
        let mut ours = theirs.clone();
        ours[5] += 0.75;
        let row = CodedRow::of(&theirs).expect("finite");
        let found = row.divergence(&ours).expect("finite");
        let exact = divergence(&theirs, &ours).expect("finite");
        assert!((found - exact).abs() < row.half_a_step(), "{found} {exact}");
        assert!(row.divergence(&theirs).expect("finite").abs() < row.half_a_step());
        let again = CodedRow::of(&ours).expect("finite");
        assert!(row.equal_codes(&row) == 257 && row.equal_codes(&again) == 0);
        assert_eq!(row.top1(), top1(&theirs));
    }

    #[test]
    fn rows_without_a_distribution_have_none() {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(CodedRow::of(&[0.0, broken]), None);
            let row = CodedRow::of(&[0.0, 1.0]).expect("finite");
            assert_eq!(row.divergence(&[0.0, broken]), None);
        }
        let flat = CodedRow::of(&[2.0; 4]).expect("finite");
        assert_eq!((flat.step, flat.codes), (0.0, vec![0; 4]));
        assert_eq!(flat.least, -(4.0f64.ln() as f32));
        assert_eq!(CodedRow::of(&[]), None);
        assert_eq!(CodedRow::of(&[1.0]).expect("finite").divergence(&[]), None);
    }
}
