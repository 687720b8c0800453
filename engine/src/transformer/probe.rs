//! One hook that sees every named intermediate value and may overwrite it.
#![forbid(unsafe_code)]

use std::fmt;

use crate::matrix::Matrix;
use crate::numerics::Arithmetic;

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

/// A part of a pass of which there are several: which one runs is up to the model.
#[derive(Clone, Copy)]
pub enum Part<'m> {
    /// Rows of the table of tokens, looked up.
    Embedding(&'m Matrix),
    /// A product inside a layer.
    Linear(&'m Matrix, &'m dyn Arithmetic),
    /// The product that makes logits.
    Head(&'m Matrix, &'m dyn Arithmetic),
    /// What no matrix decides.
    Step(Step),
}

/// What some models have and others have not, or have otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // `name` says it
pub enum Step {
    Scale,
    Bias,
    RopeFactors,
    RopeHalves,
    RopeAdjacent,
    HeadNorms,
    SubNorms,
    Silu,
    SquaredRelu,
    TiedHead,
    OwnHead,
}

impl Step {
    /// All of them.
    pub const ALL: [Step; 11] = [
        Step::Scale,
        Step::Bias,
        Step::RopeFactors,
        Step::RopeHalves,
        Step::RopeAdjacent,
        Step::HeadNorms,
        Step::SubNorms,
        Step::Silu,
        Step::SquaredRelu,
        Step::TiedHead,
        Step::OwnHead,
    ];

    /// In words, fit for a receipt.
    pub fn name(self) -> &'static str {
        match self {
            Step::Scale => "a factor behind a product (.scale)",
            Step::Bias => "a bias behind a product",
            Step::RopeFactors => "rope factors",
            Step::RopeHalves => "rope of halves",
            Step::RopeAdjacent => "rope of neighbours",
            Step::HeadNorms => "norms of queries and keys",
            Step::SubNorms => "norms inside a block",
            Step::Silu => "SiLU",
            Step::SquaredRelu => "squared ReLU",
            Step::TiedHead => "the table as head",
            Step::OwnHead => "a head of its own",
        }
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

    /// Called when a part of the pass has run, for so many tokens computed together.
    fn ran(&mut self, _part: Part<'_>, _tokens: usize) {}
}

/// Looks at nothing.
impl Probe for () {
    fn at(&mut self, _node: Node, _shape: &[usize], _values: &mut [f32]) {}

    fn looks(&self) -> bool {
        false
    }
}
