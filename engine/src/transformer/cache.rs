//! The keys and values of every position so far, in half precision.
//!
//! Keys lie position after position, values channel after channel, so that both products of
//! attention read rows. Unused positions are zero: padding meets masked columns with finite
//! numbers, whatever was computed before.
#![forbid(unsafe_code)]

use crate::config::Config;
use crate::numerics::dense::Rows;
use crate::numerics::elementwise::round_row_f16;
use crate::numerics::half::{Half, round_f16};
use crate::refusal::Refusal;

use super::scratch::grow;

/// Attention runs over a multiple of this many positions.
const PADDING: usize = 32;
/// Positions there is room for from the start, as far as the context goes.
const FIRST_CAPACITY: usize = 512;

/// Keys and values, with room that grows up to the context.
pub struct Cache {
    layers: Vec<Layer>,
    kv_heads: usize,
    head_dim: usize,
    context: usize,
    capacity: usize,
    filled: usize,
    /// Positions from here on are zero.
    touched: usize,
}

struct Layer {
    /// (kv heads, capacity, head_dim)
    keys: Vec<Half>,
    /// (kv heads, head_dim, capacity)
    values: Vec<Half>,
}

impl Cache {
    /// An empty cache for at most `context` positions.
    pub fn new(config: &Config, context: usize) -> Result<Self, Refusal> {
        let mut cache = Cache {
            layers: (0..config.block_count)
                .map(|_| Layer {
                    keys: Vec::new(),
                    values: Vec::new(),
                })
                .collect(),
            kv_heads: config.head_count_kv,
            head_dim: config.head_dim,
            context,
            capacity: 0,
            filled: 0,
            touched: 0,
        };
        cache.reserve(context.min(FIRST_CAPACITY))?;
        Ok(cache)
    }

    /// Positions filled.
    pub fn filled(&self) -> usize {
        self.filled
    }

    /// Positions there can ever be.
    pub fn context(&self) -> usize {
        self.context
    }

    /// How many positions attention runs over when `used` are filled.
    pub fn padded(&self, used: usize) -> usize {
        used.max(1).next_multiple_of(PADDING)
    }

    /// Makes room for `positions` in all, doubling so that growing stays linear.
    pub fn reserve(&mut self, positions: usize) -> Result<(), Refusal> {
        let needed = self.padded(positions);
        if needed <= self.capacity {
            return Ok(());
        }
        let most = self.padded(self.context);
        let capacity = needed.max((2 * self.capacity).min(most));
        for layer in &mut self.layers {
            layer.keys = self::moved(
                &layer.keys,
                self.kv_heads,
                self.capacity * self.head_dim,
                capacity * self.head_dim,
            )?;
            layer.values = self::moved(
                &layer.values,
                self.kv_heads * self.head_dim,
                self.capacity,
                capacity,
            )?;
        }
        self.capacity = capacity;
        Ok(())
    }

    /// Rounds and stores the keys and values of the positions from `first` on, which is none of the
    /// filled ones, each (positions, kv heads · head_dim).
    pub fn store(&mut self, layer: usize, first: usize, keys: &[f32], values: &[f32]) {
        let (dim, capacity) = (self.head_dim, self.capacity);
        assert!(first >= self.filled, "what is filled stays");
        self.touched = self.touched.max(first + keys.len() / (self.kv_heads * dim));
        let layer = &mut self.layers[layer];
        for (t, row) in keys.chunks_exact(self.kv_heads * dim).enumerate() {
            for (head, key) in row.chunks_exact(dim).enumerate() {
                let start = (head * capacity + first + t) * dim;
                round_row_f16(key, &mut layer.keys[start..start + dim]);
            }
        }
        for (t, row) in values.chunks_exact(self.kv_heads * dim).enumerate() {
            for (channel, &value) in row.iter().enumerate() {
                layer.values[channel * capacity + first + t] = round_f16(value);
            }
        }
    }

    /// Counts what was stored in every layer as filled.
    pub fn advance(&mut self, positions: usize) {
        self.filled += positions;
        assert!(
            self.filled <= self.capacity,
            "room was made before the pass"
        );
    }

    /// Forgets every position from `len` on, stored or not yet counted.
    pub fn truncate(&mut self, len: usize) {
        self.filled = self.filled.min(len);
        let (dim, capacity) = (self.head_dim, self.capacity);
        let stale = self.filled..self.touched.max(self.filled);
        for layer in &mut self.layers {
            for head in layer.keys.chunks_exact_mut(capacity * dim) {
                head[stale.start * dim..stale.end * dim].fill([0; 2]);
            }
            for channel in layer.values.chunks_exact_mut(capacity) {
                channel[stale.clone()].fill([0; 2]);
            }
        }
        self.touched = self.filled;
    }

    /// The keys of one head, a row per position.
    pub fn keys(&self, layer: usize, kv_head: usize) -> Rows<'_, Half> {
        Rows {
            elements: &self.layers[layer].keys[kv_head * self.capacity * self.head_dim..],
            stride: self.head_dim,
        }
    }

    /// The values of one head, a row per channel.
    pub fn values(&self, layer: usize, kv_head: usize) -> Rows<'_, Half> {
        Rows {
            elements: &self.layers[layer].values[kv_head * self.head_dim * self.capacity..],
            stride: self.capacity,
        }
    }
}

/// The same rows with more room behind each.
fn moved(old: &[Half], rows: usize, from: usize, to: usize) -> Result<Vec<Half>, Refusal> {
    let mut new = grow(rows, to, "key/value cache")?;
    if from > 0 {
        for (new, old) in new.chunks_exact_mut(to).zip(old.chunks_exact(from)) {
            new[..from].copy_from_slice(old);
        }
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numerics::half::widen_f16;

    /// Two key heads of two elements.
    fn cache(context: usize) -> Cache {
        let mut cache = Cache {
            layers: vec![Layer {
                keys: Vec::new(),
                values: Vec::new(),
            }],
            kv_heads: 2,
            head_dim: 2,
            context,
            capacity: 0,
            filled: 0,
            touched: 0,
        };
        cache.reserve(1).expect("small");
        cache
    }

    fn row(position: usize) -> [f32; 4] {
        std::array::from_fn(|i| (10 * position + i) as f32)
    }

    fn put(cache: &mut Cache, position: usize) {
        cache.reserve(position + 1).expect("small");
        cache.store(0, position, &row(position), &row(position));
        cache.advance(1);
    }

    fn key(cache: &Cache, head: usize, position: usize) -> [f32; 2] {
        let rows = cache.keys(0, head);
        std::array::from_fn(|i| widen_f16(rows.elements[position * rows.stride + i]))
    }

    fn value(cache: &Cache, head: usize, position: usize) -> [f32; 2] {
        let rows = cache.values(0, head);
        std::array::from_fn(|i| widen_f16(rows.elements[i * rows.stride + position]))
    }

    #[test]
    fn growing_moves_everything_to_its_new_place() {
        let mut cache = cache(100);
        for position in 0..100 {
            put(&mut cache, position);
        }
        for position in 0..100 {
            let [a, b, c, d] = row(position);
            assert_eq!(
                (key(&cache, 0, position), key(&cache, 1, position)),
                ([a, b], [c, d])
            );
            assert_eq!(
                (value(&cache, 0, position), value(&cache, 1, position)),
                ([a, b], [c, d])
            );
        }
    }

    #[test]
    fn forgotten_positions_are_zero_counted_or_not() {
        let mut cache = cache(32);
        (0..6).for_each(|position| put(&mut cache, position));
        cache.store(0, 6, &row(6), &row(6)); // a pass that failed before it was counted
        cache.truncate(2);
        assert_eq!(cache.filled(), 2);
        for position in 2..32 {
            assert_eq!(
                (key(&cache, 1, position), value(&cache, 1, position)),
                ([0.0; 2], [0.0; 2])
            );
        }
        assert_eq!(key(&cache, 1, 1), [12.0, 13.0]);
        cache.truncate(5);
        assert_eq!(cache.filled(), 2, "forgetting never adds");
    }

    #[test]
    fn attention_runs_over_whole_paddings() {
        let cache = cache(100);
        assert_eq!(
            [0, 1, 32, 33].map(|used| cache.padded(used)),
            [32, 32, 32, 64]
        );
    }
}
