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
    /// Layer, or `None` for the values before and after the stack.
    pub layer: Option<usize>,
    /// Operation that made it, e.g. `MUL_MAT`.
    pub op: &'static str,
    /// How many nodes of this name, layer and operation came before it in the pass.
    pub occurrence: usize,
}

impl fmt::Display for Node {
    /// `attn_norm-0|MUL#0`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(layer) = self.layer {
            write!(f, "-{layer}")?;
        }
        write!(f, "{}|{}#{}", self.suffix, self.op, self.occurrence)
    }
}

/// Sees every named node of a pass, in execution order.
pub trait Probe {
    /// Called with the node's values, row-major, `shape` outermost first. Overwriting `values`
    /// changes what the rest of the pass computes.
    fn at(&mut self, node: Node, shape: &[usize], values: &mut [f32]);
}

/// Looks at nothing.
impl Probe for () {
    fn at(&mut self, _node: Node, _shape: &[usize], _values: &mut [f32]) {}
}
