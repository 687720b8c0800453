//! The steps a layer is made of: compute, then show what was computed.
#![forbid(unsafe_code)]

use super::labels::LinearLabels;
use super::nodes::Nodes;
use super::probe::{self, Part};
use super::product::Multiplier;
use crate::numerics::Arithmetic;
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
        self.multiplier.normalise(input, width, self.epsilon, out);
        self.nodes.see_norm(&shape, out);
        let by_weight = |a: &dyn Arithmetic, _, row: &mut [f32]| a.multiply(row, weight);
        self.multiplier.over_rows(out, width, by_weight);
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
                self.ran(probe::Step::SubNorms, input.len() / weight.len());
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
        let linears = products.each_ref().map(|(linear, _)| *linear);
        let products = products.map(|(linear, out)| (&linear.matrix, out));
        self.multiplier.products(input, products);
        for Linear { matrix, .. } in linears {
            let part = Part::Linear(matrix, self.multiplier.arithmetic());
            let together = self.multiplier.together(input.len() / matrix.cols());
            self.nodes.ran(part, together);
        }
    }

    /// A step that not every model has was taken for so many tokens.
    pub fn ran(&mut self, step: probe::Step, tokens: usize) {
        let together = self.multiplier.together(tokens);
        self.nodes.ran(Part::Step(step), together);
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
            self.ran(probe::Step::Scale, shape[0]);
        }
        if let Some(bias) = &linear.bias {
            let with_bias = |a: &dyn Arithmetic, _, row: &mut [f32]| a.add(row, bias);
            self.multiplier.over_rows(out, width, with_bias);
            self.nodes.see(labels.biased, "ADD", &shape, out);
            self.ran(probe::Step::Bias, shape[0]);
        }
    }

    /// `hidden` += output, rows of `width`.
    pub fn add(&mut self, hidden: &mut [f32], output: &[f32], width: usize, name: &'static str) {
        self.multiplier.over_rows(hidden, width, |a, t, row| {
            a.add(row, &output[t * width..(t + 1) * width]);
        });
        self.nodes
            .see(name, "ADD", &[hidden.len() / width, width], hidden);
    }
}
