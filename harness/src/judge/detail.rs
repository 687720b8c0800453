//! What a person wants to see of a comparison beyond what its verdict follows from: units in the
//! last place, the positions of a node, the tokens that each side would choose.

use std::collections::BTreeMap;

use engine::Token;
use serde::{Deserialize, Serialize};

use crate::case::Case;
use crate::case::observation::{Observation, TracedNode};
use crate::judge::compare::{Findings, PositionFindings};
use crate::numbers::metrics::{self, Distance};

/// Tokens of each side that are kept with their probabilities.
const LIKELIEST: usize = 3;
/// The node whose rows are logits.
const LOGITS: &str = "result_output";

/// Of one position.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PositionDetail {
    /// The most representable values between two logits; none where all bits are equal, or one is
    /// a NaN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ulps: Option<u64>,
    /// The likeliest tokens of both, where bits differ and at the last position.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub likeliest: Vec<Likely>,
}

/// A token that one side would choose next, and how likely it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Likely {
    /// Its id.
    pub token: Token,
    /// Its probability, the reference's first.
    pub probabilities: [f64; 2],
}

/// Of one node whose bits differ.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeDetail {
    /// The most representable values between two elements; none if one is a NaN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ulps: Option<u64>,
    /// Position by position, where each has a row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<RowDistance>,
}

/// One position of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowDistance {
    /// Elements whose bits differ.
    pub differing: usize,
    /// `Σ(x − y)² / Σx²`; none if x is all zero and y is not, or a value is not finite.
    pub nmse: Option<f64>,
    /// The most representable values between two elements; none if one is a NaN.
    pub max_ulps: Option<u64>,
    /// In nats, where the row is one of logits and they are numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl: Option<f64>,
}

impl PositionDetail {
    /// Nobody looked.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl NodeDetail {
    /// Nobody looked, or there was nothing to see.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Looks again at what differs, and at the last position of each lane.
pub fn add(findings: &mut Findings, case: &Case, theirs: &Observation, ours: &Observation) {
    for lane in &mut findings.lanes {
        let sides = [theirs, ours].map(|side| side.lanes.get(&lane.lane));
        let [Some(theirs), Some(ours)] = sides else {
            continue;
        };
        // Rows that name their tokens, or were rounded again, are not what they seem.
        if !ours.named.is_empty() || ours.sixteen_bits {
            continue;
        }
        for found in &mut lane.positions {
            let last = case.positions.last() == Some(&found.position);
            let rows = (theirs.at(found.position), ours.at(found.position));
            if let (true, (Some(a), Some(b))) = (last || differs(&found.distance), rows) {
                found.detail = of_position(found, a, b);
            }
        }
    }
    let [before, after] = [&theirs.trace, &ours.trace].map(|trace| {
        let keyed = trace.iter().map(|node| (&node.key[..], node));
        keyed.collect::<BTreeMap<&str, &TracedNode>>()
    });
    for found in &mut findings.nodes.compared {
        let pair = (before.get(&found.key[..]), after.get(&found.key[..]));
        if let (true, (Some(a), Some(b))) = (differs(&found.distance), pair) {
            found.detail = of_node(a, b, ours.tokens.len());
        }
    }
}

fn differs(distance: &Distance) -> bool {
    distance.bit_equal < distance.values
}

fn of_position(found: &PositionFindings, theirs: &[f32], ours: &[f32]) -> PositionDetail {
    let differs = differs(&found.distance);
    let listed = metrics::likeliest(theirs, ours, LIKELIEST).into_iter();
    let likely = |(token, probabilities)| Likely {
        token: token as Token,
        probabilities,
    };
    PositionDetail {
        max_ulps: metrics::most_ulps(theirs, ours).filter(|_| differs),
        likeliest: listed.map(likely).collect(),
    }
}

fn of_node(theirs: &TracedNode, ours: &TracedNode, positions: usize) -> NodeDetail {
    NodeDetail {
        max_ulps: metrics::most_ulps(&theirs.values, &ours.values),
        rows: rows(theirs, ours, positions),
    }
}

/// A node position by position; nothing where it has no row for each.
pub fn rows(theirs: &TracedNode, ours: &TracedNode, positions: usize) -> Vec<RowDistance> {
    let mut shape = theirs.shape.iter().copied().skip_while(|&n| n == 1);
    let width = match [shape.next(), shape.next(), shape.next()] {
        [Some(rows), Some(width), None] if rows == positions && rows > 1 && width > 0 => width,
        _ => return Vec::new(),
    };
    let logits = theirs.key.split('|').next() == Some(LOGITS);
    let pairs = theirs.values.chunks(width).zip(ours.values.chunks(width));
    let row = |(theirs, ours): (&[f32], &[f32])| {
        let distance = Distance::between(theirs, ours);
        RowDistance {
            differing: distance.values - distance.bit_equal,
            nmse: distance.nmse,
            max_ulps: metrics::most_ulps(theirs, ours),
            kl: logits.then(|| metrics::divergence(theirs, ours)).flatten(),
        }
    };
    pairs.map(row).collect()
}
