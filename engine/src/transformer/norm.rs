//! Root-mean-square normalisation, and the learned factors after it.
#![forbid(unsafe_code)]

use super::nodes::Nodes;
use crate::numerics::elementwise::{multiply, rms_norm};

/// `out` = input / rms(input) · weight, row by row. The two steps are two values: the first is
/// called `norm` and is the `occurrence`-th of its place, the second has a name of its own.
pub fn apply(
    input: &[f32],
    weight: &[f32],
    epsilon: f32,
    (name, occurrence): (&'static str, usize),
    out: &mut [f32],
    nodes: &mut Nodes,
) {
    let width = weight.len();
    let shape = [input.len() / width, width];
    for (row, out) in input.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        rms_norm(row, epsilon, out);
    }
    nodes.see_again("norm", "RMS_NORM", occurrence, &shape, out);
    for row in out.chunks_exact_mut(width) {
        multiply(row, weight);
    }
    nodes.see(name, "MUL", &shape, out);
}
