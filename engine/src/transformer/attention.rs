//! Scaled dot-product attention over the cache, several query heads to a key head.
//!
//! A ubatch of one token and a ubatch of several are different arithmetic: most profiles round
//! the probabilities of the one to half precision, and not those of the other.
#![forbid(unsafe_code)]

use super::cache::Cache;
use super::scratch::grow;
use super::step::Step;
use crate::config::Config;
use crate::numerics::Arithmetic;
use crate::numerics::dense::{Grid, Rows};
use crate::numerics::elementwise::round_row_f16;
use crate::numerics::half::Half;
use crate::pool::Pool;
use crate::refusal::Refusal;

/// The buffers of attention, for ubatches of `t` tokens and `n` positions.
pub struct Attention {
    heads: usize,
    kv_heads: usize,
    dim: usize,
    scale: f32,
    /// (t, heads · head_dim)
    query: Vec<Half>,
    /// (heads, t, n): products with the keys, then probabilities
    weights: Vec<f32>,
    /// (heads, t, n): the probabilities where the arithmetic rounds them, else for t = 1 only
    rounded: Vec<Half>,
    /// (heads, t, head_dim)
    gathered: Vec<f32>,
}

/// What attention reads.
#[derive(Clone, Copy)]
pub struct Lookup<'a> {
    layer: usize,
    /// (t, heads · head_dim)
    query: &'a [f32],
    /// Holds the keys and values of these tokens, too, behind the positions it counts.
    cache: &'a Cache,
}

impl<'a> Lookup<'a> {
    /// The queries of one layer and the cache they ask.
    pub fn new(layer: usize, query: &'a [f32], cache: &'a Cache) -> Self {
        Lookup {
            layer,
            query,
            cache,
        }
    }
}

/// How much there is to do, and with what.
#[derive(Clone, Copy)]
struct Work {
    tokens: usize,
    positions: usize,
    arithmetic: &'static dyn Arithmetic,
}

impl Attention {
    /// Room for ubatches of up to `tokens`; positions come with [`reserve`](Self::reserve).
    pub fn new(config: &Config, tokens: usize) -> Result<Self, Refusal> {
        let (heads, dim) = (config.head_count, config.head_dim);
        Ok(Attention {
            heads,
            kv_heads: config.head_count_kv,
            dim,
            scale: config.attention_scale,
            query: grow(tokens, heads * dim, "attention")?,
            weights: Vec::new(),
            rounded: Vec::new(),
            gathered: grow(tokens, heads * dim, "attention")?,
        })
    }

    /// Room for `tokens` at once over `positions`.
    pub fn reserve(
        &mut self,
        tokens: usize,
        positions: usize,
        arithmetic: &dyn Arithmetic,
    ) -> Result<(), Refusal> {
        let needed = tokens * positions;
        if self.weights.len() / self.heads < needed {
            self.weights = grow(self.heads, needed.next_power_of_two(), "attention")?;
        }
        let needed = if arithmetic.unrounded(tokens, positions) {
            positions
        } else {
            needed
        };
        if self.rounded.len() / self.heads < needed {
            self.rounded = grow(self.heads, needed.next_power_of_two(), "attention")?;
        }
        Ok(())
    }

    /// Gathers the values the queries ask for into `out`, (t, heads · head_dim).
    pub fn attend(&mut self, lookup: Lookup, name: &'static str, out: &mut [f32], step: &mut Step) {
        let Step {
            multiplier, nodes, ..
        } = step;
        let row = self.heads * self.dim;
        let tokens = lookup.query.len() / row;
        let first = lookup.cache.filled();
        let positions = lookup.cache.padded(first + tokens);
        let (scale, arithmetic) = (self.scale, multiplier.arithmetic());
        let pool = multiplier.pool_for(self.heads * tokens * positions * self.dim);
        let work = Work {
            tokens,
            positions,
            arithmetic,
        };
        let shape = [self.heads, tokens, positions];

        self.products(lookup, work, pool);
        let weights = &mut self.weights[..self.heads * tokens * positions];
        nodes.see("kq", "MUL_MAT", &shape, weights);

        pool.over_parts(weights, tokens * positions, |_, head| {
            for (t, row) in head.chunks_exact_mut(positions).enumerate() {
                arithmetic.softmax(row, scale, first + t + 1);
            }
        });
        nodes.see("kq_soft_max_ext", "SOFT_MAX", &shape, weights);

        nodes.skip(1); // the view of the values
        self.gather(lookup, work, pool);
        let gathered = &mut self.gathered[..tokens * row];
        nodes.see("kqv", "MUL_MAT", &[self.heads, tokens, self.dim], gathered);

        nodes.skip(1); // the heads side by side, still a view
        for (h, head) in gathered.chunks_exact(tokens * self.dim).enumerate() {
            for (t, values) in head.chunks_exact(self.dim).enumerate() {
                out[t * row + h * self.dim..][..self.dim].copy_from_slice(values);
            }
        }
        nodes.see(name, "CONT", &[tokens, row], out);
    }

    /// Query times key for every head, token and position. Half precision, except that a single
    /// head's queries already lie as the product tiles want them.
    fn products(&mut self, lookup: Lookup, work: Work, pool: &mut Pool) {
        let (dim, row, group) = (self.dim, self.heads * self.dim, self.group());
        let (tokens, positions, arithmetic) = (work.tokens, work.positions, work.arithmetic);
        let Lookup { query, .. } = lookup;
        let unrounded = self.heads == 1 && arithmetic.unrounded(tokens, dim);
        round_row_f16(query, &mut self.query);
        let rounded = &self.query[..query.len()];
        let weights = &mut self.weights[..self.heads * tokens * positions];
        pool.over_parts(weights, tokens * positions, |h, head| {
            let keys = lookup.cache.keys(lookup.layer, h / group);
            let grid = Grid {
                out: head,
                stride: positions,
                rows: positions,
                tokens,
            };
            if unrounded {
                arithmetic.tiles_f16(keys, of_head(query, h * dim, row), dim, grid);
            } else {
                arithmetic.dots_f16(keys, of_head(rounded, h * dim, row), dim, tokens, grid);
            }
        });
    }

    /// Probability times value for every head, token and channel.
    fn gather(&mut self, lookup: Lookup, work: Work, pool: &mut Pool) {
        let (tokens, positions, arithmetic) = (work.tokens, work.positions, work.arithmetic);
        let (dim, group) = (self.dim, self.group());
        let weights = &self.weights[..self.heads * tokens * positions];
        let unrounded = arithmetic.unrounded(tokens, positions);
        if !unrounded {
            round_row_f16(weights, &mut self.rounded);
        }
        let rounded = &self.rounded;
        let gathered = &mut self.gathered[..tokens * self.heads * dim];
        pool.over_parts(gathered, tokens * dim, |h, head| {
            let values = lookup.cache.values(lookup.layer, h / group);
            let grid = Grid {
                out: head,
                stride: dim,
                rows: dim,
                tokens,
            };
            let at = h * tokens * positions;
            if unrounded {
                let weights = of_head(weights, at, positions);
                arithmetic.tiles_f16(values, weights, positions, grid);
            } else {
                let rounded = of_head(rounded, at, positions);
                arithmetic.dots_f16(values, rounded, positions, tokens, grid);
            }
        });
    }

    /// Query heads to a key head.
    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }
}

/// The rows of one head, from its first element on.
fn of_head<T>(elements: &[T], first: usize, stride: usize) -> Rows<'_, T> {
    Rows {
        elements: &elements[first..],
        stride,
    }
}
