//! Outputs of products, shared out by rows of the matrices.

use std::ops::Range;

use super::{Lent, Pool};

/// Products a single call shares out at most: gate and up are two, queries, keys and values three.
const MOST: usize = 3;

/// The outputs of one product, those of the first token, then those of the second, and so on.
pub struct Target<'a> {
    /// As many as rows times tokens.
    pub out: &'a mut [f32],
    /// Rows of the matrix.
    pub rows: usize,
    /// Rows that are computed together.
    pub tile: usize,
}

/// A share of the outputs of one product: a range of rows, for every token.
pub struct Band<'a> {
    rows: Range<usize>,
    /// Outputs of a token.
    stride: usize,
    tokens: usize,
    lent: &'a Lent<f32>,
}

impl Band<'_> {
    /// The rows of the matrix.
    pub fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// How many tokens there are.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// The outputs of one token for these rows.
    pub fn token(&mut self, token: usize) -> &mut [f32] {
        assert!(token < self.tokens, "token {token} of {}", self.tokens);
        let start = token * self.stride + self.rows.start;
        // SAFETY: bands of one product have different rows, and a band gives out one part at a
        // time.
        unsafe { self.lent.part(start, self.rows.len()) }
    }
}

impl Pool {
    /// Calls `work` with the number of a target and a band of it, until all outputs of all
    /// targets were in one band.
    pub fn over_bands<const N: usize>(
        &mut self,
        targets: [Target<'_>; N],
        work: impl Fn(usize, &mut Band) + Sync,
    ) {
        const {
            assert!(
                N <= MOST,
                "more products than are ever made of the same activations"
            )
        };
        let tiles = targets.each_ref().map(|t| t.rows.div_ceil(t.tile));
        let shapes = targets.each_ref().map(|t| (t.rows, t.tile));
        let tokens = targets
            .each_ref()
            .map(|t| t.out.len().checked_div(t.rows).unwrap_or(0));
        let lent = targets.map(|t| Lent::new(t.out));
        self.share_out(tiles.iter().sum(), |range| {
            let mut first = 0;
            for i in 0..N {
                let (rows, tile) = shapes[i];
                let start = range.start.max(first) - first;
                let end = range.end.min(first + tiles[i]).saturating_sub(first);
                first += tiles[i];
                if start >= end {
                    continue;
                }
                let mut band = Band {
                    rows: start * tile..rows.min(end * tile),
                    stride: rows,
                    tokens: tokens[i],
                    lent: &lent[i],
                };
                work(i, &mut band);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    #[test]
    fn every_output_is_visited_once_at_its_place() {
        for (rows, tokens, threads) in [(1, 1, 4), (7, 3, 2), (8, 2, 8), (5, 1, 1), (4, 0, 2)] {
            let mut pool = Pool::new(NonZeroUsize::new(threads).expect("not zero"));
            let mut outs = [rows, 2 * rows].map(|rows| (vec![f32::NAN; rows * tokens], rows));
            let [(a, m), (b, n)] = &mut outs;
            let targets =
                [(a, *m, 3), (b, *n, 2)].map(|(out, rows, tile)| Target { out, rows, tile });
            pool.over_bands(targets, |which, band| {
                for token in 0..band.tokens() {
                    let rows = band.rows();
                    for (row, out) in rows.zip(band.token(token)) {
                        assert!(out.is_nan(), "visited twice");
                        *out = (1000 * which + token * 100 + row) as f32;
                    }
                }
            });
            for (which, (out, rows)) in outs.into_iter().enumerate() {
                let at = |i: usize| (1000 * which + i / rows * 100 + i % rows) as f32;
                let expected: Vec<f32> = (0..rows * tokens).map(at).collect();
                assert_eq!(out, expected);
            }
        }
    }
}
