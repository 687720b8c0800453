//! Which nodes of a pass are looked at, and which are given other values: plain data, so that it
//! can be sent to another process.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use engine::transformer::probe::{Node, Probe};

use super::passes::Values;
use crate::case::observation::{Occurrences, TracedNode};
use crate::reference::isolation::Shown;

/// What is taken out of a pass, and what is put into it.
#[derive(Debug, Clone, Default)]
pub struct Watch<'a> {
    /// The nodes that are shown.
    pub shown: Shown,
    /// What nodes are replaced with, by their keys.
    pub replaced: Values<'a>,
}

impl Watch<'_> {
    /// Shows every node and replaces none.
    pub fn every() -> Self {
        Watch {
            shown: Shown::Every,
            ..Watch::default()
        }
    }
}

/// A probe that does in the engine what a [`Watch`] says.
pub struct Watching {
    shown: Shown,
    /// What is given, and whether the node came by.
    replaced: BTreeMap<String, (TracedNode, bool)>,
    occurrences: Occurrences,
    /// What was shown, in the order it was computed.
    pub nodes: Vec<TracedNode>,
}

impl Watching {
    /// Nothing was seen so far.
    pub fn new(watch: &Watch<'_>) -> Self {
        let given = |(key, node): (&&str, &&TracedNode)| ((*key).into(), ((*node).clone(), false));
        Watching {
            shown: watch.shown.clone(),
            replaced: watch.replaced.iter().map(given).collect(),
            occurrences: Occurrences::default(),
            nodes: Vec::new(),
        }
    }

    /// A node that was to be replaced and did not come by.
    pub fn missing(&self) -> Option<&str> {
        let mut all = self.replaced.iter();
        all.find_map(|(key, (_, met))| (!met).then_some(&**key))
    }
}

impl Probe for Watching {
    fn at(&mut self, node: Node, shape: &[usize], values: &mut [f32]) {
        let key = self.occurrences.count(node).to_string();
        if self.shown.has(&key) {
            self.nodes.push(TracedNode {
                key: key.clone(),
                shape: shape.to_vec(),
                values: values.to_vec(),
            });
        }
        if let Some((given, met)) = self.replaced.get_mut(&key)
            && given.is_shaped(shape)
        {
            values.copy_from_slice(&given.values);
            *met = true;
        }
    }
}
