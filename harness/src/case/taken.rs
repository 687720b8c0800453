//! Which parts of the engine a pass took: what multiplied which format where, for one token or for
//! several together. Plain data.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::observation::Lane;

/// Every order counts elements in vectors of at most so many: a row of whole ones has no rest.
pub const WHOLE: usize = 64;

/// Where in a pass it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// The rows of tokens are looked up.
    Embedding,
    /// A product inside a layer.
    Linear,
    /// The product that makes logits.
    Head,
    /// Anything that no matrix decides.
    Step,
}

/// How a part was taken, in words: its path, the lane in which that many tokens are computed, and
/// whether its rows have a rest.
pub fn way(path: Path, lane: Lane, rest: bool) -> String {
    let (lane, rest) = (lane.name(), if rest { ", rows with a rest" } else { "" });
    match path {
        Path::Embedding => "embedding".to_owned(),
        Path::Linear => format!("linear, {lane}{rest}"),
        Path::Head => format!("head, {lane}{rest}"),
        Path::Step => format!("step, {lane}"),
    }
}

/// The ways a pass took, by the format and what computed it (`q4_0 scalar-q4_0`) or by the name of
/// a step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Taken(pub BTreeMap<String, BTreeSet<String>>);

impl Taken {
    /// Nothing was taken, or nobody looked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One more.
    pub fn add(&mut self, what: String, way: String) {
        self.0.entry(what).or_default().insert(way);
    }

    /// All of another pass.
    pub fn extend(&mut self, other: &Taken) {
        for (what, ways) in &other.0 {
            let own = self.0.entry(what.clone()).or_default();
            own.extend(ways.iter().cloned());
        }
    }
}
