//! Rotary positions: pairs of a head's elements turn by an angle that grows with the position.
#![forbid(unsafe_code)]

use crate::config::{Config, RopePairs};
use crate::numerics::rope::Turning;
use crate::refusal::Refusal;

use super::product::Multiplier;
use super::scratch::grow;

/// The angles of one ubatch.
pub struct Rope {
    pairs: RopePairs,
    turning: Turning,
    head_dim: usize,
    half: usize,
    /// (t, rotated dimensions / 2) of cosine and sine
    angles: Vec<[f32; 2]>,
}

impl Rope {
    /// Room for the angles of up to `tokens` tokens.
    pub fn new(config: &Config, tokens: usize) -> Result<Self, Refusal> {
        let half = config.rope_dimensions / 2;
        Ok(Rope {
            pairs: config.rope_pairs,
            turning: Turning::of(config),
            head_dim: config.head_dim,
            half,
            angles: grow(tokens, half, "rotation angles")?,
        })
    }

    /// Computes the angles of `tokens` positions from `first` on.
    pub fn prepare(&mut self, first: usize, tokens: usize, factors: Option<&[f32]>) {
        let rows = self.angles.chunks_exact_mut(self.half.max(1)).take(tokens);
        for (t, row) in rows.enumerate() {
            self.turning.angles(first + t, factors, row);
        }
    }

    /// Turns every head of every token, (t, heads · head_dim).
    pub fn apply(&self, tokens: &mut [f32], heads: usize, multiplier: &mut Multiplier) {
        let half = self.half.max(1);
        multiplier.over_rows(tokens, heads * self.head_dim, |arithmetic, t, token| {
            let angles = &self.angles[t * half..][..self.half];
            for head in token.chunks_exact_mut(self.head_dim) {
                match self.pairs {
                    RopePairs::Halves => arithmetic.rope_halves(head, angles),
                    RopePairs::Adjacent => arithmetic.rope_adjacent(head, angles),
                }
            }
        });
    }
}
