//! One step of the reference's graph, as an observer sees it.
#![forbid(unsafe_code)]

use std::borrow::Cow;

/// A node that is about to be computed, or has just been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node<'a> {
    /// The library's name for it; several nodes share one.
    pub name: Cow<'a, str>,
    /// What computes it, in capitals.
    pub op: Cow<'a, str>,
    /// Element type, in the library's words.
    pub type_name: Cow<'a, str>,
    /// Execution order within the call, from 0.
    pub index: u32,
    /// How many earlier nodes of the call had the same name and op.
    pub occurrence: u32,
    /// Whether its elements lie densely in memory.
    pub contiguous: bool,
    /// Elements per dimension, the fastest first.
    pub extents: [usize; 4],
    /// Bytes between neighbours per dimension.
    pub strides: [usize; 4],
    /// What it is computed from.
    pub sources: Vec<Source<'a>>,
}

/// An operand of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source<'a> {
    /// Its name when the node was announced.
    pub name: Cow<'a, str>,
    /// What computed it; `NONE` for weights and inputs.
    pub op: Cow<'a, str>,
    /// The node of this call that made it; `None` for weights, inputs and the cache.
    pub node: Option<u32>,
}

impl Node<'_> {
    /// Name, op and occurrence: what tells this node from every other of the call.
    pub fn key(&self) -> String {
        format!("{}|{}#{}", self.name, self.op, self.occurrence)
    }

    /// The extents slowest first, without leading ones, as arrays are written down.
    pub fn shape(&self) -> Vec<usize> {
        let rank = self
            .extents
            .iter()
            .rposition(|&n| n != 1)
            .map_or(1, |last| last + 1);
        self.extents[..rank].iter().rev().copied().collect()
    }
}

/// Watches the graph being computed.
pub trait Observe {
    /// Whether the values of `node`, not computed yet, are wanted.
    fn wants(&mut self, node: &Node<'_>) -> bool;

    /// Sees the values, densely, fastest dimension first; empty where the type is no number. What
    /// it leaves in `values` becomes the node's values only if it answers [`Step::Replace`].
    fn sees(&mut self, node: &Node<'_>, values: &mut [f32]) -> Step;
}

/// What happens after a node was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The graph goes on.
    Continue,
    /// The graph goes on with the values the observer left.
    Replace,
    /// Nothing more is computed; the call ends with [`crate::Status::Stopped`] and the session's
    /// cache is worthless until it is cleared.
    Stop,
}

#[cfg(test)]
mod tests {
    use super::Node;

    #[test]
    fn a_key_holds_the_occurrence_and_a_shape_no_leading_one() {
        let mut node = Node {
            name: "norm-0".into(),
            op: "RMS_NORM".into(),
            type_name: "f32".into(),
            index: 4,
            occurrence: 1,
            contiguous: true,
            extents: [64, 4, 11, 1],
            strides: [4, 256, 1024, 11264],
            sources: Vec::new(),
        };
        assert_eq!(node.key(), "norm-0|RMS_NORM#1");
        assert_eq!(node.shape(), [11, 4, 64]);
        node.extents = [1, 1, 1, 1];
        assert_eq!(node.shape(), [1]);
        node.extents = [256, 1, 2, 1];
        assert_eq!(node.shape(), [2, 1, 256]);
    }
}
