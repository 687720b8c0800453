//! Logits to the next token: greedy with a stated tie rule, or seeded sampling.
//!
//! The same seed gives the same tokens on every machine: the generator is integer arithmetic,
//! and probabilities are made of additions and multiplications alone, never of a C library's
//! `exp`.
#![forbid(unsafe_code)]

use crate::Token;
use crate::refusal::{Code, Refusal};
use crate::transformer::likeliest::of_all;

/// How to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// 0 means greedy.
    pub temperature: f32,
    /// Keep the k most likely; 0 keeps all.
    pub top_k: usize,
    /// Keep the smallest set whose probability reaches this; 1 keeps all.
    pub top_p: f32,
    /// Seed of the generator; the same seed gives the same tokens on every machine.
    pub seed: u64,
}

impl Default for Sampling {
    /// Greedy.
    fn default() -> Self {
        Sampling {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            seed: 0,
        }
    }
}

/// The index of the largest logit; the lowest index wins a tie.
pub fn greedy(logits: &[f32]) -> Token {
    let mut best = 0;
    for (i, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = i;
        }
    }
    best as Token
}

/// Chooses token after token; its state is the position in the random sequence.
#[derive(Debug, Clone)]
pub struct Sampler {
    sampling: Sampling,
    generator: SplitMix64,
    candidates: Vec<Candidate>,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    token: Token,
    logit: f32,
    /// Probability times a factor all candidates share.
    weight: f64,
}

impl Sampler {
    /// At the start of the sequence the seed stands for.
    pub fn new(sampling: Sampling) -> Result<Self, Refusal> {
        let Sampling {
            temperature, top_p, ..
        } = sampling;
        if !(0.0..=f32::MAX).contains(&temperature) {
            let rule = "a finite number, 0 or more";
            return Err(invalid("sampling.temperature", rule, temperature));
        }
        if !(top_p > 0.0 && top_p <= 1.0) {
            return Err(invalid("sampling.top_p", "more than 0, at most 1", top_p));
        }
        Ok(Sampler {
            generator: SplitMix64(sampling.seed),
            sampling,
            candidates: Vec::new(),
        })
    }

    /// How many of the likeliest tokens decide the choice; all of them, if none.
    pub fn wanted(&self) -> Option<usize> {
        match self.sampling {
            Sampling {
                temperature: 0.0, ..
            } => Some(1),
            Sampling { top_k, .. } => (top_k > 0).then_some(top_k),
        }
    }

    /// Chooses among finite logits. Greedy choices do not advance the random sequence.
    pub fn sample(&mut self, logits: &[f32]) -> Token {
        if self.sampling.temperature == 0.0 || logits.is_empty() {
            return greedy(logits);
        }
        self.choose(&of_all(logits, self.wanted().unwrap_or(logits.len())))
    }

    /// The same choice among as many of the likeliest as are [wanted](Self::wanted), the likeliest
    /// first.
    pub fn choose(&mut self, ranked: &[(Token, f32)]) -> Token {
        if self.sampling.temperature == 0.0 {
            return ranked[0].0;
        }
        let candidate = |&(token, logit): &(Token, f32)| Candidate {
            token,
            logit,
            weight: 0.0,
        };
        self.candidates.clear();
        self.candidates.extend(ranked.iter().map(candidate));
        let total = self.weigh();
        let kept = self.keep_top_p(total);
        let mut point = self.generator.next_fraction() * kept;
        for candidate in &self.candidates {
            point -= candidate.weight;
            if point < 0.0 {
                return candidate.token;
            }
        }
        // Rounding may leave a sliver behind the last one.
        self.candidates.last().expect("there are logits").token
    }

    /// Weighs every candidate relative to the first and returns the sum.
    fn weigh(&mut self) -> f64 {
        let temperature = f64::from(self.sampling.temperature);
        let first = f64::from(self.candidates[0].logit);
        let mut total = 0.0;
        for candidate in &mut self.candidates {
            candidate.weight = exp((f64::from(candidate.logit) - first) / temperature);
            total += candidate.weight;
        }
        total
    }

    /// Drops what `top_p` does not ask for and returns the sum of the rest.
    fn keep_top_p(&mut self, total: f64) -> f64 {
        let enough = f64::from(self.sampling.top_p) * total;
        let mut sum = 0.0;
        for (i, candidate) in self.candidates.iter().enumerate() {
            sum += candidate.weight;
            if sum >= enough {
                self.candidates.truncate(i + 1);
                break;
            }
        }
        sum
    }
}

fn invalid(field: &str, rule: &str, found: f32) -> Refusal {
    Refusal::new(Code::HparamInvalid, field, rule, found)
}

/// Steele, Lea and Flood's generator: 64 bits of state, any seed is a good one.
#[derive(Debug, Clone)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = self.0;
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In [0, 1), a multiple of 2⁻⁵³.
    fn next_fraction(&mut self) -> f64 {
        const ULP: f64 = 1.0 / (1u64 << 53) as f64;
        (self.next() >> 11) as f64 * ULP
    }
}

/// e^x for x ≤ 0 to twelve digits, in operations every machine rounds alike.
fn exp(x: f64) -> f64 {
    const LN_2: f64 = std::f64::consts::LN_2;
    if x < -700.0 {
        return 0.0;
    }
    let n = (x / LN_2).round_ties_even();
    let r = x - n * LN_2;
    // |r| ≤ ln(2)/2: the 14th term is below 2⁻⁵⁸.
    let mut sum = 1.0;
    for term in (1..=14).rev() {
        sum = 1.0 + r / f64::from(term) * sum;
    }
    sum * f64::from_bits(((n as i64 + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(temperature: f32, top_k: usize, top_p: f32, seed: u64) -> Sampler {
        Sampler::new(Sampling {
            temperature,
            top_k,
            top_p,
            seed,
        })
        .expect("valid")
    }

    #[test]
    fn the_lowest_index_wins_a_tie() {
        assert_eq!(greedy(&[1.0, 3.0, 3.0, 2.0]), 1);
        assert_eq!(greedy(&[-1.0]), 0);
        assert_eq!(sampler(0.0, 0, 1.0, 7).sample(&[0.0, 1.0, 1.0]), 1);
    }

    #[test]
    fn the_generator_is_the_published_one() {
        // First outputs for seed 1234567, from the authors' reference code.
        let mut generator = SplitMix64(1_234_567);
        let outputs = [(); 3].map(|()| generator.next());
        assert_eq!(
            outputs,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn exp_is_close_and_ends_at_zero() {
        for x in [0.0, -1e-9, -0.3, -1.0, -17.25, -300.0, -699.0] {
            let (ours, exact) = (exp(x), f64::exp(x));
            assert!((ours - exact).abs() <= 1e-12 * exact, "{x}: {ours}");
        }
        assert_eq!(exp(-1e9), 0.0);
    }

    #[test]
    fn one_seed_one_sequence() {
        let logits: Vec<f32> = (0..50).map(|i| (i * 37 % 17) as f32 / 4.0).collect();
        let draw = |seed| -> Vec<Token> {
            let mut sampler = sampler(0.8, 20, 0.95, seed);
            (0..32).map(|_| sampler.sample(&logits)).collect()
        };
        assert_eq!(draw(42), draw(42));
        assert_ne!(draw(42), draw(43));
    }

    #[test]
    fn the_likeliest_few_decide_as_all_do() {
        let logits: Vec<f32> = (0..50).map(|i| (i * 37 % 17) as f32 / 4.0).collect();
        for (temperature, top_k, wanted) in [(0.0, 9, Some(1)), (0.8, 20, Some(20)), (0.8, 0, None)]
        {
            let mut all = sampler(temperature, top_k, 0.95, 3);
            let mut few = all.clone();
            assert_eq!(few.wanted(), wanted);
            let ranked = of_all(&logits, wanted.unwrap_or(50));
            for _ in 0..32 {
                assert_eq!(few.choose(&ranked), all.sample(&logits));
            }
        }
    }

    #[test]
    fn frequencies_follow_the_logits() {
        // Probabilities 1/7, 2/7, 4/7.
        let logits = [0.0, 2f32.ln(), 4f32.ln()];
        let mut sampler = sampler(1.0, 0, 1.0, 1);
        let mut counts = [0i32; 3];
        for _ in 0..70_000 {
            counts[sampler.sample(&logits) as usize] += 1;
        }
        for (count, expected) in counts.into_iter().zip([10_000, 20_000, 40_000]) {
            assert!((count - expected).abs() < 500, "{counts:?}");
        }
    }

    #[test]
    fn top_k_and_top_p_exclude_the_rest() {
        let logits = [0.0, 2f32.ln(), 4f32.ln()];
        let drawn = |mut sampler: Sampler| {
            let mut seen = [false; 3];
            (0..1000).for_each(|_| seen[sampler.sample(&logits) as usize] = true);
            seen
        };
        assert_eq!(drawn(sampler(1.0, 2, 1.0, 1)), [false, true, true]);
        assert_eq!(drawn(sampler(1.0, 0, 0.5, 1)), [false, false, true]);
        assert_eq!(drawn(sampler(1.0, 0, 0.8, 1)), [false, true, true]);
        assert_eq!(drawn(sampler(1.0, 0, 1.0, 1)), [true, true, true]);
    }

    #[test]
    fn senseless_parameters_are_refused() {
        for (temperature, top_p) in [(-1.0, 1.0), (f32::NAN, 1.0), (1.0, 0.0), (1.0, f32::NAN)] {
            let sampling = Sampling {
                temperature,
                top_p,
                ..Sampling::default()
            };
            let refusal = Sampler::new(sampling).expect_err("refused");
            assert_eq!(refusal.code, Code::HparamInvalid);
        }
    }
}
