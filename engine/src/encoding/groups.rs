//! Blocks whose groups have a scale and an offset each, as in Q2_K, Q4_K and Q5_K: how the
//! quantisers find them.
#![forbid(unsafe_code)]

use super::author::{Author, nearest_int, squares, weights};
use super::fit::{self, Search};

/// Elements of a block.
pub const BLOCK: usize = 256;
/// The most elements of a group.
const LARGEST: usize = 32;

/// Scales and offsets of a block, and its elements as far as they are found with them.
pub struct Groups<const N: usize> {
    /// What all scales are multiples of.
    pub scale: f32,
    /// What all offsets are multiples of.
    pub offset: f32,
    /// The multiples, group by group.
    pub scales: [u8; N],
    /// Those of the offsets.
    pub offsets: [u8; N],
    /// The elements.
    pub codes: [u8; BLOCK],
}

/// Every group by itself.
struct Fitted<const N: usize> {
    scales: [f32; N],
    offsets: [f32; N],
    /// How much each group weighs.
    sums: [f32; N],
    codes: [u8; BLOCK],
}

impl<const N: usize> Groups<N> {
    /// Every group by itself, whose elements weigh what `weigh` says; then scales and offsets as
    /// multiples, as `shared` makes them.
    pub fn guessed(
        author: Author,
        search: Search,
        block: &[f32; BLOCK],
        weigh: impl Fn(&[f32], &mut [f32]),
        shared: impl Fn(&[f32; N]) -> (f32, [u8; N]),
    ) -> Self {
        let fitted = Fitted::of(author, search, block, |_, group, out| weigh(group, out));
        let (scale, scales) = shared(&fitted.scales);
        let (offset, offsets) = shared(&fitted.offsets);
        Groups {
            scale,
            offset,
            scales,
            offsets,
            codes: fitted.codes,
        }
    }

    /// With regard to the importance of the columns; multiples are `highest` at most. Large
    /// elements count the more, the less the squares of the block are multiplied by.
    pub fn searched(
        author: Author,
        (limit, highest): (i32, i32),
        block: &[f32; BLOCK],
        squares_times: f32,
        importance: &[f32],
    ) -> Self {
        let variance = squares_times * squares(author, block) / BLOCK as f32;
        let search = Search::with_importance(author, limit);
        let fitted = Fitted::<N>::of(author, search, block, |at, group, out| {
            weights(author, variance, group, &importance[at..], out);
        });
        let (mut scales, mut offsets) = ([0; N], [0; N]);
        let sums = &fitted.sums;
        Groups {
            scale: fit::positive(author, highest, &fitted.scales, sums, &mut scales),
            offset: fit::positive(author, highest, &fitted.offsets, sums, &mut offsets),
            scales,
            offsets,
            codes: fitted.codes,
        }
    }

    /// Elements anew for the scale and the offset that each group has once they are rounded.
    pub fn requantise(
        &mut self,
        block: &[f32; BLOCK],
        limit: i32,
        rounded: impl Fn(usize) -> (f32, f32),
    ) {
        let groups = self.codes.chunks_exact_mut(BLOCK / N);
        for (g, (codes, group)) in groups.zip(block.chunks_exact(BLOCK / N)).enumerate() {
            let (scale, offset) = rounded(g);
            if scale == 0.0 {
                continue;
            }
            for (code, x) in codes.iter_mut().zip(group) {
                *code = nearest_int((x + offset) / scale).clamp(0, limit) as u8;
            }
        }
    }
}

impl<const N: usize> Fitted<N> {
    /// `weigh` is told where a group begins.
    fn of(
        author: Author,
        search: Search,
        block: &[f32; BLOCK],
        weigh: impl Fn(usize, &[f32], &mut [f32]),
    ) -> Self {
        let mut fitted = Fitted {
            scales: [0.0; N],
            offsets: [0.0; N],
            sums: [0.0; N],
            codes: [0; BLOCK],
        };
        let mut weights = [0.0; LARGEST];
        let weights = &mut weights[..BLOCK / N];
        let codes = fitted.codes.chunks_exact_mut(BLOCK / N);
        for (g, (codes, group)) in codes.zip(block.chunks_exact(BLOCK / N)).enumerate() {
            weigh(g * (BLOCK / N), group, weights);
            fitted.sums[g] = weights.iter().sum();
            let found = fit::offset(author, search, group, weights, codes);
            (fitted.scales[g], fitted.offsets[g]) = found;
        }
        fitted
    }
}
