//! Attention of several tokens where nobody looks at what is between: some tokens of a head at a
//! time, over the positions they see, so that nothing is computed only to be masked and nothing
//! leaves the caches.
//!
//! What a masked position adds to a sum is zero times a value: nothing, unless the value is not
//! finite, or the sum a zero whose sign it might change. Where an output is either, or a product of
//! query and key is not finite, this says so, and everything is computed as it is written down.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Attention, Lookup, Work, of_head};
use crate::numerics::dense::Grid;
use crate::numerics::elementwise::first_non_finite;
use crate::pool::Pool;

/// Tokens computed together.
const TOKENS: usize = 16;

impl Attention {
    /// Gathers for every head and token what it sees; whether that is what all positions give.
    pub(super) fn gather_visible(&mut self, lookup: Lookup, work: Work, pool: &mut Pool) -> bool {
        let (dim, row, group) = (self.dim, self.heads * self.dim, self.group());
        let (tokens, positions, arithmetic) = (work.tokens, work.positions, work.arithmetic);
        let Lookup {
            layer,
            first,
            query,
            cache,
        } = lookup;
        let scale = self.scale;
        let unrounded = self.takes_queries_unrounded(work);
        self.round_queries(query, arithmetic, pool);
        let rounded = &self.query[..query.len()];
        let weights = &mut self.weights[..self.heads * tokens * positions];
        let gathered = &mut self.gathered[..tokens * row];
        let sound = AtomicBool::new(true);
        pool.over_two(
            weights,
            tokens * positions,
            gathered,
            tokens * dim,
            |h, weights, gathered| {
                let keys = cache.keys(layer, h / group);
                let values = cache.values(layer, h / group);
                for start in (0..tokens).step_by(TOKENS) {
                    let count = TOKENS.min(tokens - start);
                    let seen = cache.padded(first + start + count);
                    let scores = &mut weights[..count * seen];
                    let grid = lines(scores, seen, count);
                    let at = start * row + h * dim;
                    if unrounded {
                        arithmetic.tiles_f16(keys, of_head(query, at, row), dim, grid);
                    } else {
                        arithmetic.dots_f16(keys, of_head(rounded, at, row), dim, tokens, grid);
                    }
                    let mut finite = true;
                    for (t, scores) in scores.chunks_exact_mut(seen).enumerate() {
                        let visible = first + start + t + 1;
                        finite &= first_non_finite(&scores[..visible]).is_none();
                        arithmetic.softmax(scores, scale, visible);
                    }
                    let out = &mut gathered[start * dim..(start + count) * dim];
                    let grid = lines(out, dim, count);
                    arithmetic.tiles_f16(values, of_head(scores, 0, seen), seen, grid);
                    if !finite || !all_finite_and_not_zero(out) {
                        sound.store(false, Ordering::Relaxed);
                    }
                }
            },
        );
        sound.into_inner()
    }
}

/// Lines without gaps.
fn lines(out: &mut [f32], rows: usize, tokens: usize) -> Grid<'_> {
    Grid {
        out,
        stride: rows,
        rows,
        tokens,
    }
}

fn all_finite_and_not_zero(values: &[f32]) -> bool {
    const INFINITE: u32 = 0x7f80_0000;
    let sound = |x: &f32| (1..INFINITE).contains(&x.abs().to_bits());
    values.iter().fold(true, |all, x| all & sound(x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_infinities_and_nans_are_found() {
        let sound = [1.0, -2.0, f32::MIN_POSITIVE / 2.0, f32::MAX];
        assert!(all_finite_and_not_zero(&sound));
        for bad in [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            let mut values = sound;
            values[2] = bad;
            assert!(!all_finite_and_not_zero(&values), "{bad}");
        }
    }
}
