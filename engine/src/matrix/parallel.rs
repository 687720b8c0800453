//! Splits the rows of a product over threads, and holds what is reused between products.
//!
//! Every output is computed whole by one thread from the same inputs, so neither the number of
//! threads nor their timing can change a bit of the result.
#![forbid(unsafe_code)]

use std::num::NonZeroUsize;
use std::ops::Range;

use crate::kernels::activation::RowScale;
use crate::kernels::q8_0::Q8Block;
use crate::kernels::q8_k::Q8K;

/// Threads to use, and buffers that keep their capacity from one product to the next.
pub struct Workspace {
    threads: NonZeroUsize,
    /// Quantised activations, row after row.
    pub(super) int8: Vec<i8>,
    /// Scale and sum of each of those rows.
    pub(super) rows: Vec<RowScale>,
    /// Activations quantised for Q8_0 weights.
    pub(super) q8_0: Vec<Q8Block>,
    /// Activations quantised for the formats with blocks of 256.
    pub(super) q8_k: Vec<Q8K>,
}

impl Workspace {
    /// An empty workspace for products on that many threads.
    pub fn new(threads: NonZeroUsize) -> Self {
        Workspace {
            threads,
            int8: Vec::new(),
            rows: Vec::new(),
            q8_0: Vec::new(),
            q8_k: Vec::new(),
        }
    }

    /// How many threads a product is split over.
    pub fn threads(&self) -> NonZeroUsize {
        self.threads
    }
}

/// A share of the outputs: a range of rows, and for each token the outputs of those rows.
pub(crate) struct Band<'a> {
    pub rows: Range<usize>,
    pub outputs: Vec<&'a mut [f32]>,
}

/// Runs `work` on every band, one thread each.
pub(crate) fn over_bands(
    out: &mut [f32],
    rows: usize,
    threads: NonZeroUsize,
    work: impl Fn(Band) + Sync,
) {
    let mut bands = bands(out, rows, threads).into_iter();
    // The caller's own thread takes the last share.
    let Some(own) = bands.next_back() else { return };
    std::thread::scope(|scope| {
        for band in bands {
            scope.spawn(|| work(band));
        }
        work(own);
    });
}

fn bands(out: &mut [f32], rows: usize, threads: NonZeroUsize) -> Vec<Band<'_>> {
    let height = rows.div_ceil(threads.get()).max(1);
    let starts = (0..rows).step_by(height);
    let mut bands: Vec<Band> = starts
        .map(|start| Band {
            rows: start..rows.min(start + height),
            outputs: Vec::new(),
        })
        .collect();
    for token in out.chunks_mut(rows.max(1)) {
        for (band, outputs) in bands.iter_mut().zip(token.chunks_mut(height)) {
            band.outputs.push(outputs);
        }
    }
    bands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_output_is_visited_once_at_its_place() {
        for (rows, tokens, threads) in [(1, 1, 4), (7, 3, 2), (8, 2, 8), (5, 1, 1), (4, 0, 2)] {
            let mut out = vec![f32::NAN; rows * tokens];
            let threads = NonZeroUsize::new(threads).expect("not zero");
            over_bands(&mut out, rows, threads, |band| {
                for (token, outputs) in band.outputs.into_iter().enumerate() {
                    for (row, out) in band.rows.clone().zip(outputs) {
                        assert!(out.is_nan(), "visited twice");
                        *out = (token * rows + row) as f32;
                    }
                }
            });
            let expected: Vec<f32> = (0..rows * tokens).map(|i| i as f32).collect();
            assert_eq!(out, expected);
        }
    }
}
