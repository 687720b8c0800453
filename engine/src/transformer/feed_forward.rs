//! The gated feed-forward block.
#![forbid(unsafe_code)]

use super::labels::Labels;
use super::scratch::View;
use super::step::Step;
use crate::config::Activation;
use crate::numerics::elementwise::{multiply, relu, square};
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
            let arithmetic = step.multiplier.arithmetic();
            gate.chunks_exact_mut(width)
                .for_each(|row| arithmetic.silu(row));
            step.nodes.see("ffn_silu", "UNARY", &shape, gate);
        }
        Activation::SquaredRelu => {
            relu(gate);
            step.nodes.see("ffn_relu", "UNARY", &shape, gate);
            square(gate);
            step.nodes.see("ffn_sqr(relu)", "SQR", &shape, gate);
        }
    }
    step.follow(&block.up, labels.up, up);
    multiply(gate, up);
    step.nodes.see(labels.gated, "MUL", &shape, gate);
}
