//! The steps a layer is made of: compute, then show what was computed.
#![forbid(unsafe_code)]

use super::labels::LinearLabels;
use super::nodes::Nodes;
use super::product::Multiplier;
use crate::numerics::elementwise;
use crate::weights::Linear;

/// What every step needs.
pub struct Step<'a, 'p> {
    /// Multiplies.
    pub multiplier: &'a mut Multiplier,
    /// Is shown every value.
    pub nodes: &'a mut Nodes<'p>,
    /// Keeps norms of nothing finite.
    pub epsilon: f32,
}

impl Step<'_, '_> {
    /// `out` = input / rms(input) · weight, row by row. The two operations are two values.
    pub fn norm(&mut self, input: &[f32], weight: &[f32], name: &'static str, out: &mut [f32]) {
        let width = weight.len();
        let shape = [input.len() / width, width];
        let (epsilon, arithmetic) = (self.epsilon, self.multiplier.arithmetic());
        let pool = self.multiplier.pool_for(input.len());
        pool.over_parts(out, width, |t, out| {
            arithmetic.rms_norm(&input[t * width..(t + 1) * width], epsilon, out);
        });
        self.nodes.see_norm(&shape, out);
        for row in out.chunks_exact_mut(width) {
            elementwise::multiply(row, weight);
        }
        self.nodes.see(name, "MUL", &shape, out);
    }

    /// The norm where the architecture has it, else the input itself.
    pub fn sub_norm<'v>(
        &mut self,
        input: &'v [f32],
        weight: Option<&[f32]>,
        name: &'static str,
        out: &'v mut [f32],
    ) -> &'v [f32] {
        match weight {
            None => input,
            Some(weight) => {
                self.norm(input, weight, name, out);
                out
            }
        }
    }

    /// The product, its factor and its bias.
    pub fn linear(
        &mut self,
        linear: &Linear,
        labels: LinearLabels,
        input: &[f32],
        out: &mut [f32],
    ) {
        self.products(input, [(linear, &mut *out)]);
        self.follow(linear, labels, out);
    }

    /// The products of the same input with several matrices, nothing else.
    pub fn products<const N: usize>(
        &mut self,
        input: &[f32],
        products: [(&Linear, &mut [f32]); N],
    ) {
        let products = products.map(|(linear, out)| (&linear.matrix, out));
        self.multiplier.products(input, products);
    }

    /// Shows a product, then its factor and its bias, which are computed here.
    pub fn follow(&mut self, linear: &Linear, labels: LinearLabels, out: &mut [f32]) {
        let width = linear.matrix.rows();
        let shape = [out.len() / width, width];
        let followed = linear.scale.is_some() || linear.bias.is_some();
        match labels.followed {
            _ if !followed => self.nodes.see(labels.alone, "MUL_MAT", &shape, out),
            Some(name) => self.nodes.see(name, "MUL_MAT", &shape, out),
            None => self.nodes.see_unnamed("MUL_MAT", &shape, out),
        }
        if let Some(scale) = linear.scale {
            elementwise::scale(out, scale);
            self.nodes.see(labels.scaled, "MUL", &shape, out);
        }
        if let Some(bias) = &linear.bias {
            for row in out.chunks_exact_mut(width) {
                elementwise::add(row, bias);
            }
            self.nodes.see(labels.biased, "ADD", &shape, out);
        }
    }

    /// `hidden` += output, rows of `width`.
    pub fn add(&mut self, hidden: &mut [f32], output: &[f32], width: usize, name: &'static str) {
        elementwise::add(hidden, output);
        self.nodes
            .see(name, "ADD", &[hidden.len() / width, width], hidden);
    }
}
