//! Names the values of a pass as they come, shows them to the probe, and remembers the first
//! one that is not finite.
#![forbid(unsafe_code)]

use super::probe::{Node, Part, Place, Probe};
use crate::numerics::elementwise::first_non_finite;

/// The first value of a pass that is NaN or infinite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NotFinite {
    /// Where it was.
    pub node: Node,
    /// Flat index in the node.
    pub index: usize,
    /// What it was.
    pub value: f32,
}

/// The running commentary of one pass.
pub struct Nodes<'p> {
    probe: &'p mut dyn Probe,
    place: Place,
    /// Values so far, also those without a name or in half precision: unnamed ones are known by
    /// their number.
    count: usize,
    /// Normalised values of the place so far.
    norms: usize,
    not_finite: Option<NotFinite>,
}

impl<'p> Nodes<'p> {
    /// Before the first value.
    pub fn new(probe: &'p mut dyn Probe) -> Self {
        Nodes {
            probe,
            place: Place::Model,
            count: 0,
            norms: 0,
            not_finite: None,
        }
    }

    /// The first value that was not finite, if there was one.
    pub fn not_finite(&self) -> Option<NotFinite> {
        self.not_finite
    }

    /// Whether somebody looks at the values.
    pub fn are_looked_at(&self) -> bool {
        self.probe.looks()
    }

    /// A part has run, for so many tokens computed together.
    pub fn ran(&mut self, part: Part<'_>, tokens: usize) {
        self.probe.ran(part, tokens);
    }

    /// What follows belongs to that layer.
    pub fn enter_layer(&mut self, layer: usize) {
        self.place = Place::Layer(layer);
        self.norms = 0;
    }

    /// What follows comes after the layers.
    pub fn leave_layers(&mut self) {
        self.place = Place::Model;
        self.norms = 0;
    }

    /// Shows a named value.
    pub fn see(&mut self, name: &'static str, op: &'static str, shape: &[usize], v: &mut [f32]) {
        self.show(name, "", op, 0, shape, v);
    }

    /// Shows a value normalised and not yet weighted, of which a layer has several.
    pub fn see_norm(&mut self, shape: &[usize], values: &mut [f32]) {
        self.show("norm", "", "RMS_NORM", self.norms, shape, values);
        self.norms += 1;
    }

    /// Shows a value whose name carries a suffix behind the layer.
    pub fn see_reshaped(&mut self, name: &'static str, shape: &[usize], values: &mut [f32]) {
        self.show(name, " (reshaped)", "RESHAPE", 0, shape, values);
    }

    /// Shows a value that has only its number.
    pub fn see_unnamed(&mut self, op: &'static str, shape: &[usize], values: &mut [f32]) {
        let place = std::mem::replace(&mut self.place, Place::Number(self.count));
        self.show("node", "", op, 0, shape, values);
        self.place = place;
    }

    /// Counts values nobody is shown: views, and copies in half precision.
    pub fn skip(&mut self, values: usize) {
        self.count += values;
    }

    fn show(
        &mut self,
        name: &'static str,
        suffix: &'static str,
        op: &'static str,
        occurrence: usize,
        shape: &[usize],
        values: &mut [f32],
    ) {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len(), "{name} {op}");
        let node = Node {
            name,
            suffix,
            place: self.place,
            op,
            occurrence,
        };
        self.count += 1;
        self.probe.at(node, shape, values);
        if self.not_finite.is_none()
            && let Some(index) = first_non_finite(values)
        {
            let value = values[index];
            self.not_finite = Some(NotFinite { node, index, value });
        }
    }
}
