//! Logits to the next token: greedy with a stated tie rule, or seeded sampling.
#![forbid(unsafe_code)]

use crate::Token;

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
