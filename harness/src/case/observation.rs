//! What a runner saw: plain data, and the only thing that crosses from running to comparing.

pub mod tokenization;

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use engine::Token;
use engine::transformer::probe::Node;
use serde::{Deserialize, Serialize};
use serde_variant::to_variant_name;

use super::taken::Taken;
use crate::io::floats;

/// Who computed, precisely enough that two observations with the same identity are one witness.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The program, with what distinguishes this build of it.
    pub name: String,
    /// The order of its float operations, e.g. `ggml-avx512`.
    pub profile: String,
    /// What makes it this one and no other: a hash of the recording, a kernel, a build.
    pub fingerprint: String,
}

/// The first word of the fingerprint of an engine that a user brought.
const BROUGHT: [&str; 5] = ["saved", "program", "protocol", "library", "server"];

impl Identity {
    /// What kind of thing a user brought, if it is one.
    pub fn brought(&self) -> Option<&str> {
        let (kind, _) = self.fingerprint.split_once(' ')?;
        BROUGHT.contains(&kind).then_some(kind)
    }

    /// Whether it is the engine of this repository.
    pub fn is_built_in(&self) -> bool {
        self.fingerprint.starts_with("engine ")
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.profile)
    }
}

/// How tokens reach the model. The same positions give different bits on the two ways.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// The whole prompt in ubatches, logits asked for everywhere.
    #[default]
    Prefill,
    /// One token at a time.
    Decode,
}

impl Lane {
    /// Both, in the order they are reported.
    pub const ALL: [Lane; 2] = [Lane::Prefill, Lane::Decode];

    /// As printed and as written in receipts.
    pub fn name(self) -> &'static str {
        to_variant_name(&self).expect("a variant without fields")
    }
}

/// Logits at some positions of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Logits {
    /// Which positions, ascending.
    pub positions: Vec<usize>,
    /// `(positions, vocab_size)`, row-major.
    pub values: Vec<f32>,
    /// Length of a row.
    pub vocab_size: usize,
    /// The tokens that each row names, where it is not the whole vocabulary: then the values are
    /// their log-probabilities.
    pub named: Vec<Vec<Token>>,
    /// Whether they are log-probabilities that were kept in 16 bits: what they are compared with
    /// is then rounded in the same way.
    pub sixteen_bits: bool,
}

impl Logits {
    /// The row of a position of the prompt, if it was observed.
    pub fn at(&self, position: usize) -> Option<&[f32]> {
        let row = self.positions.binary_search(&position).ok()?;
        self.values
            .get(row * self.vocab_size..(row + 1) * self.vocab_size)
    }

    /// The tokens that the row of a position names, where it is not the whole vocabulary.
    pub fn names_at(&self, position: usize) -> Option<&[Token]> {
        let row = self.positions.binary_search(&position).ok()?;
        self.named.get(row).map(Vec::as_slice)
    }
}

/// One named intermediate value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TracedNode {
    /// `name-layer|OP#occurrence`.
    pub key: String,
    /// Outermost first.
    pub shape: Vec<usize>,
    /// Row-major.
    #[serde(with = "floats")]
    pub values: Vec<f32>,
}

impl TracedNode {
    /// A node that came from somewhere else: as many values as its shape says.
    pub fn checked(self) -> Result<Self, String> {
        let (key, shape, count) = (&self.key, &self.shape, self.values.len());
        let size = shape
            .iter()
            .try_fold(1, |size: usize, n| size.checked_mul(*n));
        if size != Some(count) {
            return Err(format!("node {key} of shape {shape:?} has {count} values"));
        }
        Ok(self)
    }

    /// Whether that is its shape, leading ones aside: the reference does not know of them.
    pub fn is_shaped(&self, shape: &[usize]) -> bool {
        let trimmed = |shape: &[usize]| {
            let first = shape.iter().position(|&n| n != 1).unwrap_or(shape.len());
            shape[first..].to_vec()
        };
        trimmed(&self.shape) == trimmed(shape)
    }
}

/// Counts the nodes of a whole feed, as the reference does: where a prompt takes several ubatches,
/// each of them has every node, and the next ubatch's occurrences follow those of the last one.
#[derive(Default)]
pub struct Occurrences(HashMap<Node, usize>);

impl Occurrences {
    /// The node that is shown next, with its occurrence in the feed.
    pub fn count(&mut self, node: Node) -> Node {
        let any = Node {
            occurrence: 0,
            ..node
        };
        let seen = self.0.entry(any).or_default();
        let occurrence = std::mem::replace(seen, *seen + 1);
        Node { occurrence, ..node }
    }
}

/// The most likely continuation, token by token.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Greedy {
    /// The ids chosen.
    pub tokens: Vec<Token>,
    /// Their text.
    pub text: String,
    /// The logits each choice was made from, one row a step; empty if they were not kept.
    pub logits: Vec<Vec<f32>>,
}

/// Everything one runner saw of one case.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Who computed it.
    pub identity: Identity,
    /// The prompt as ids.
    pub tokens: Vec<Token>,
    /// Logits per lane.
    pub lanes: BTreeMap<Lane, Logits>,
    /// The greedy continuation.
    pub greedy: Greedy,
    /// Traced nodes of the prefill in execution order; empty for untraced cases.
    pub trace: Vec<TracedNode>,
    /// The parts of the engine that ran for it; nothing of anybody else.
    pub taken: Taken,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_differ_in_more_than_leading_ones() {
        let node = |shape: &[usize]| TracedNode {
            key: "kq-0|MUL_MAT#0".into(),
            shape: shape.into(),
            values: Vec::new(),
        };
        assert!(node(&[1, 256]).is_shaped(&[256]) && node(&[1]).is_shaped(&[1, 1]));
        assert!(!node(&[2, 256]).is_shaped(&[256]) && !node(&[256, 1]).is_shaped(&[1, 256]));
    }

    #[test]
    fn a_position_that_was_not_observed_has_no_row() {
        let logits = Logits {
            positions: vec![0, 7],
            values: vec![1.0, 2.0, 3.0, 4.0],
            vocab_size: 2,
            named: Vec::new(),
            sixteen_bits: false,
        };
        assert_eq!(logits.at(7), Some(&[3.0, 4.0][..]));
        assert_eq!(logits.at(1), None);
    }
}
