//! What is looked at, replaced and disturbed in a pass: the one way to bend one. What is shown and
//! replaced is plain data, so that it can be sent to another process.

use std::collections::BTreeMap;

use engine::transformer::probe::{Node, Part, Probe};

use super::products;
use crate::case::observation::{Occurrences, TracedNode};
use crate::case::taken::Taken;
use crate::reference::isolation::Shown;

/// Values by the key of their node.
pub type Values<'a> = BTreeMap<&'a str, &'a TracedNode>;

/// The values of nodes by their keys.
pub fn by_key(nodes: &[TracedNode]) -> Values<'_> {
    nodes.iter().map(|node| (&*node.key, node)).collect()
}

/// What is taken out of a pass, and what is put into it.
#[derive(Debug, Clone, Default)]
pub struct Watch<'a> {
    /// The nodes that are shown.
    pub shown: Shown,
    /// What nodes are replaced with, by their keys.
    pub replaced: Values<'a>,
}

impl<'a> Watch<'a> {
    /// Shows every node and replaces none.
    pub fn every() -> Self {
        Watch::replacing(Values::new())
    }

    /// Shows every node and replaces those.
    pub fn replacing(replaced: Values<'a>) -> Self {
        let shown = Shown::Every;
        Watch { shown, replaced }
    }

    /// Shows the nodes of these keys, as far as there are any, and replaces none.
    pub fn these(keys: Vec<String>) -> Self {
        Watch {
            shown: Shown::These(keys),
            ..Watch::default()
        }
    }
}

/// When a value is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before it is seen, as an operation that computes wrongly would make it.
    Made,
    /// After it was seen, as a next operation that reads wrongly would have it.
    Read,
}

/// May change the values of every node of a pass.
pub type Disturbance<'m> = Box<dyn FnMut(Moment, Node, &[usize], &mut [f32]) + 'm>;

/// Makes a disturbance, anew for every pass.
pub type Plant<'m> = Box<dyn Fn() -> Disturbance<'m> + 'm>;

/// A probe that does in the engine what a [`Watch`] says, behind a disturbance.
pub struct Watching<'w, 'm> {
    watch: &'w Watch<'w>,
    disturb: Option<Disturbance<'m>>,
    occurrences: Occurrences,
    /// What was shown, in the order it was computed.
    pub nodes: Vec<TracedNode>,
    /// What was to be replaced and did not come by in the shape it was given.
    pub missing: Values<'w>,
    /// The parts that ran.
    pub taken: Taken,
    /// The parts that ran, without their names, which would be made for every layer of every token.
    noted: Vec<(u8, usize, bool)>,
}

impl<'w, 'm> Watching<'w, 'm> {
    /// Nothing was seen so far.
    pub fn new(watch: &'w Watch<'w>, disturb: Option<Disturbance<'m>>) -> Self {
        Watching {
            watch,
            disturb,
            occurrences: Occurrences::default(),
            nodes: Vec::new(),
            missing: watch.replaced.clone(),
            taken: Taken::default(),
            noted: Vec::new(),
        }
    }

    fn look(&mut self, node: Node, shape: &[usize], values: &mut [f32]) {
        let key = self.occurrences.count(node).to_string();
        let given = self.watch.replaced.get(&*key);
        if self.watch.shown.has(&key) {
            self.nodes.push(TracedNode {
                key: key.clone(),
                shape: shape.to_vec(),
                values: values.to_vec(),
            });
        }
        if let Some(given) = given.filter(|given| given.is_shaped(shape)) {
            values.copy_from_slice(&given.values);
            self.missing.remove(&*key);
        }
    }
}

impl Probe for Watching<'_, '_> {
    fn at(&mut self, node: Node, shape: &[usize], values: &mut [f32]) {
        if let Some(disturb) = &mut self.disturb {
            disturb(Moment::Made, node, shape, values);
        }
        if self.watch.shown != Shown::Nothing || !self.watch.replaced.is_empty() {
            self.look(node, shape, values);
        }
        if let Some(disturb) = &mut self.disturb {
            disturb(Moment::Read, node, shape, values);
        }
    }

    fn ran(&mut self, part: Part<'_>, tokens: usize) {
        let key = products::key(part, tokens);
        if !self.noted.contains(&key) {
            self.noted.push(key);
            products::note(&mut self.taken, part, tokens);
        }
    }
}
