//! One hook that sees every named intermediate value and may overwrite it.
#![forbid(unsafe_code)]

use std::fmt;

/// Identifies an intermediate value: the same name occurs several times in a pass, so operation
/// and occurrence belong to the identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Node {
    /// Name without the layer, e.g. `attn_norm`.
    pub name: &'static str,
    /// Suffix after the layer, e.g. ` (reshaped)`; usually empty.
    pub suffix: &'static str,
    /// What the name needs to be unique.
    pub place: Place,
    /// Operation that made it, e.g. `MUL_MAT`.
    pub op: &'static str,
    /// How many nodes of this name, place and operation came before it in the pass.
    pub occurrence: usize,
}

/// Where a node belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// Before or after the layers.
    Model,
    /// In one layer.
    Layer(usize),
    /// A value without a name of its own, known by its number among all values of the pass.
    Number(usize),
}

impl fmt::Display for Node {
    /// `attn_norm-0|MUL#0`, `result_norm|MUL#0`, `node_137|GET_ROWS#0`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        match self.place {
            Place::Model => {}
            Place::Layer(layer) => write!(f, "-{layer}")?,
            Place::Number(number) => write!(f, "_{number}")?,
        }
        write!(f, "{}|{}#{}", self.suffix, self.op, self.occurrence)
    }
}

/// Sees every named node of a pass, in execution order.
pub trait Probe {
    /// Called with the node's values, row-major, `shape` outermost first. Overwriting `values`
    /// changes what the rest of the pass computes.
    fn at(&mut self, node: Node, shape: &[usize], values: &mut [f32]);

    /// Whether it looks at anything: what nobody looks at need not be computed as a value of its
    /// own.
    fn looks(&self) -> bool {
        true
    }
}

/// Looks at nothing.
impl Probe for () {
    fn at(&mut self, _node: Node, _shape: &[usize], _values: &mut [f32]) {}

    fn looks(&self) -> bool {
        false
    }
}
