//! The gated feed-forward block.
#![forbid(unsafe_code)]

use super::labels::Labels;
use super::nodes::Nodes;
use super::product::{self, Multiplier};
use crate::config::Activation;
use crate::numerics::elementwise::{multiply, relu, square};
use crate::weights::Block;

/// `gate` becomes activation(gate · x) · (up · x); both buffers are (t, feed-forward).
pub fn gated(
    block: &Block,
    activation: Activation,
    labels: &Labels,
    normed: &[f32],
    (gate, up): (&mut [f32], &mut [f32]),
    multiplier: &mut Multiplier,
    nodes: &mut Nodes,
) {
    let width = block.gate.matrix.rows();
    let shape = [gate.len() / width, width];
    product::apply(&block.gate, labels.gate, normed, gate, multiplier, nodes);
    match activation {
        Activation::Silu => {
            let arithmetic = multiplier.arithmetic();
            gate.chunks_exact_mut(width)
                .for_each(|row| arithmetic.silu(row));
            nodes.see("ffn_silu", "UNARY", &shape, gate);
        }
        Activation::SquaredRelu => {
            relu(gate);
            nodes.see("ffn_relu", "UNARY", &shape, gate);
            square(gate);
            nodes.see("ffn_sqr(relu)", "SQR", &shape, gate);
        }
    }
    product::apply(&block.up, labels.up, normed, up, multiplier, nodes);
    multiply(gate, up);
    nodes.see(labels.gated, "MUL", &shape, gate);
}
