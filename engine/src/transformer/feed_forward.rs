//! The gated feed-forward block.
#![forbid(unsafe_code)]

use super::labels::Labels;
use super::probe;
use super::scratch::View;
use super::step::Step;
use crate::config::Activation;
use crate::numerics::Arithmetic;
use crate::weights::Block;

/// `gate` becomes activation(gate · x) · (up · x) for the normalised x.
pub fn gated(
    block: &Block,
    activation: Activation,
    labels: &Labels,
    view: &mut View,
    step: &mut Step,
) {
    let View {
        normed, gate, up, ..
    } = view;
    let width = block.gate.matrix.rows();
    let shape = [gate.len() / width, width];
    step.products(normed, [(&block.gate, &mut **gate), (&block.up, &mut **up)]);
    step.follow(&block.gate, labels.gate, gate);
    match activation {
        Activation::Silu => {
            let silu = |a: &dyn Arithmetic, _, row: &mut [f32]| a.silu(row);
            step.multiplier.over_rows(gate, width, silu);
            step.nodes.see("ffn_silu", "UNARY", &shape, gate);
            step.ran(probe::Step::Silu, shape[0]);
        }
        Activation::SquaredRelu => {
            let relu = |a: &dyn Arithmetic, _, row: &mut [f32]| a.relu(row);
            step.multiplier.over_rows(gate, width, relu);
            step.nodes.see("ffn_relu", "UNARY", &shape, gate);
            let square = |a: &dyn Arithmetic, _, row: &mut [f32]| a.square(row);
            step.multiplier.over_rows(gate, width, square);
            step.nodes.see("ffn_sqr(relu)", "SQR", &shape, gate);
            step.ran(probe::Step::SquaredRelu, shape[0]);
        }
    }
    step.follow(&block.up, labels.up, up);
    step.multiplier.over_rows(gate, width, |a, t, row| {
        a.multiply(row, &up[t * width..(t + 1) * width]);
    });
    step.nodes.see(labels.gated, "MUL", &shape, gate);
}
