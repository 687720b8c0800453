//! Scaled dot-product attention over the cache, several query heads to a key head.
//!
//! A ubatch of one token and a ubatch of several are different arithmetic: most profiles round
//! the probabilities of the one to half precision, and not those of the other.
#![forbid(unsafe_code)]

mod visible;

use std::ops::Range;

use super::cache::Cache;
use super::scratch::grow;
use super::step::Step;
use crate::config::Config;
use crate::numerics::Arithmetic;
use crate::numerics::dense::{Grid, Rows};
use crate::numerics::half::Half;
use crate::pool::{Pool, Target};
use crate::refusal::Refusal;

/// Keys a thread computes at a time, and channels.
const KEYS: usize = 64;
const CHANNELS: usize = 16;
/// Query heads that meet a key head together.
const HEADS: usize = 8;

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
    /// The position of the first query.
    first: usize,
    /// (t, heads · head_dim)
    query: &'a [f32],
    /// Holds the keys and values of these tokens, too, behind the positions it counts.
    cache: &'a Cache,
}

impl<'a> Lookup<'a> {
    /// The queries of one layer, from that position on, and the cache they ask.
    pub fn new(layer: usize, first: usize, query: &'a [f32], cache: &'a Cache) -> Self {
        Lookup {
            layer,
            first,
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
    /// Without room yet: that comes with [`reserve`](Self::reserve).
    pub fn new(config: &Config) -> Self {
        let (heads, dim) = (config.head_count, config.head_dim);
        Attention {
            heads,
            kv_heads: config.head_count_kv,
            dim,
            scale: config.attention_scale,
            query: Vec::new(),
            weights: Vec::new(),
            rounded: Vec::new(),
            gathered: Vec::new(),
        }
    }

    /// Room for `tokens` at once over `positions`.
    pub fn reserve(
        &mut self,
        tokens: usize,
        positions: usize,
        arithmetic: &dyn Arithmetic,
    ) -> Result<(), Refusal> {
        let row = self.heads * self.dim;
        if self.query.len() < tokens * row {
            self.query = grow(tokens, row, "attention")?;
            self.gathered = grow(tokens, row, "attention")?;
        }
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
        let first = lookup.first;
        let positions = lookup.cache.padded(first + tokens);
        let (scale, arithmetic) = (self.scale, multiplier.arithmetic());
        let pool = multiplier.pool_for(self.heads * tokens * positions * self.dim);
        let work = Work {
            tokens,
            positions,
            arithmetic,
        };
        let shape = [self.heads, tokens, positions];

        let several = tokens > 1 && arithmetic.unrounded(tokens, positions);
        if several && !nodes.are_looked_at() && self.gather_visible(lookup, work, pool) {
            nodes.skip(5); // all that follows up to the heads side by side
            self.side_by_side(tokens, pool, out);
            return nodes.see(name, "CONT", &[tokens, row], out);
        }

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
        self.side_by_side(tokens, pool, out);
        nodes.see(name, "CONT", &[tokens, row], out);
    }

    /// What was gathered, token after token.
    fn side_by_side(&self, tokens: usize, pool: &mut Pool, out: &mut [f32]) {
        let (dim, gathered) = (self.dim, &self.gathered);
        pool.over_parts(out, self.heads * dim, |t, out| {
            for (h, out) in out.chunks_exact_mut(dim).enumerate() {
                out.copy_from_slice(&gathered[(h * tokens + t) * dim..][..dim]);
            }
        });
    }

    /// The queries as halves.
    fn round_queries(&mut self, query: &[f32], arithmetic: &dyn Arithmetic, pool: &mut Pool) {
        let row = self.heads * self.dim;
        pool.over_parts(&mut self.query[..query.len()], row, |t, out| {
            arithmetic.round_f16(&query[t * row..(t + 1) * row], out);
        });
    }

    /// Whether queries meet the keys as they are: those of a single head already lie as the
    /// product tiles want them.
    fn takes_queries_unrounded(&self, work: Work) -> bool {
        self.heads == 1 && work.arithmetic.unrounded(work.tokens, self.dim)
    }

    /// Query times key for every head, token and position.
    fn products(&mut self, lookup: Lookup, work: Work, pool: &mut Pool) {
        let (dim, row, group) = (self.dim, self.heads * self.dim, self.group());
        let (tokens, positions, arithmetic) = (work.tokens, work.positions, work.arithmetic);
        let Lookup { query, .. } = lookup;
        let unrounded = self.takes_queries_unrounded(work);
        self.round_queries(query, arithmetic, pool);
        let rounded = &self.query[..query.len()];
        let weights = &mut self.weights[..self.heads * tokens * positions];
        if tokens == 1 {
            let groups = Groups::new(self.heads, self.kv_heads, KEYS);
            return groups.products(pool, weights, positions, |group, rows, grid| {
                let keys = lookup.cache.keys(lookup.layer, group.kv_head);
                let keys = of_head(keys.elements, rows.start * dim, dim);
                let queries = of_head(rounded, group.heads.start * dim, dim);
                arithmetic.dots_f16(keys, queries, dim, 1, grid);
            });
        }
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
        let head = tokens * positions;
        if !unrounded {
            let rounded = &mut self.rounded[..weights.len()];
            pool.over_parts(rounded, head, |h, rounded| {
                arithmetic.round_f16(&weights[h * head..(h + 1) * head], rounded);
            });
        }
        let rounded = &self.rounded;
        let gathered = &mut self.gathered[..tokens * self.heads * dim];
        if tokens == 1 && !unrounded {
            let groups = Groups::new(self.heads, self.kv_heads, CHANNELS);
            return groups.products(pool, gathered, dim, |group, rows, grid| {
                let values = lookup.cache.values(lookup.layer, group.kv_head);
                let values = of_head(values.elements, rows.start * values.stride, values.stride);
                let rounded = of_head(rounded, group.heads.start * positions, positions);
                arithmetic.dots_f16(values, rounded, positions, 1, grid);
            });
        }
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

/// The query heads of a single token, which share what is read of a key head.
struct Groups {
    heads: usize,
    group: usize,
    tile: usize,
}

/// Some query heads of a key head.
struct Group {
    kv_head: usize,
    heads: Range<usize>,
}

impl Groups {
    /// `tile` outputs of every head are computed at a time.
    fn new(heads: usize, kv_heads: usize, tile: usize) -> Self {
        Groups {
            heads,
            group: heads / kv_heads,
            tile,
        }
    }

    /// Computes `out`, (heads, rows), some rows of all heads at a time.
    fn products(
        &self,
        pool: &mut Pool,
        out: &mut [f32],
        rows: usize,
        multiply: impl Fn(&Group, Range<usize>, Grid) + Sync,
    ) {
        let tile = self.tile;
        let target = Target { out, rows, tile };
        pool.over_bands([target], |_, band| {
            let own = band.rows();
            let mut outputs = [0f32; HEADS * KEYS];
            for start in own.clone().step_by(tile) {
                let rows = start..own.end.min(start + tile);
                for group in self.all() {
                    let grid = Grid {
                        out: &mut outputs,
                        stride: tile,
                        rows: rows.len(),
                        tokens: group.heads.len(),
                    };
                    multiply(&group, rows.clone(), grid);
                    for (head, outputs) in group.heads.zip(outputs.chunks_exact(tile)) {
                        let at = rows.start - own.start;
                        let out = &mut band.token(head)[at..at + rows.len()];
                        out.copy_from_slice(&outputs[..rows.len()]);
                    }
                }
            }
        });
    }

    fn all(&self) -> impl Iterator<Item = Group> {
        let (heads, group) = (self.heads, self.group);
        let first = (0..heads).step_by(group);
        first.flat_map(move |first| {
            (first..first + group)
                .step_by(HEADS)
                .map(move |start| Group {
                    kv_head: first / group,
                    heads: start..(first + group).min(start + HEADS),
                })
        })
    }
}

/// The rows of one head, from its first element on.
fn of_head<T>(elements: &[T], first: usize, stride: usize) -> Rows<'_, T> {
    Rows {
        elements: &elements[first..],
        stride,
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    #[test]
    fn groups_of_heads_fill_every_output_of_every_head() {
        for (heads, kv_heads, rows) in [(4, 4, 3), (20, 5, 128), (20, 2, 70), (9, 1, 64)] {
            let mut out = vec![f32::NAN; heads * rows];
            let mut pool = Pool::new(NonZeroUsize::new(2).expect("not zero"));
            let groups = Groups::new(heads, kv_heads, KEYS);
            groups.products(&mut pool, &mut out, rows, |group, rows, mut grid| {
                for (token, head) in group.heads.clone().enumerate() {
                    assert_eq!(head / (heads / kv_heads), group.kv_head);
                    for (out, row) in grid.token(token).iter_mut().zip(rows.clone()) {
                        *out = (1000 * head + row) as f32;
                    }
                }
            });
            let expected = |i: usize| (1000 * (i / rows) + i % rows) as f32;
            assert!(
                (0..out.len()).all(|i| out[i] == expected(i)),
                "{heads} heads"
            );
        }
    }
}
