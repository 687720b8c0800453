//! What a planted fault can see of a pass: the nodes so far, the keys and values of every
//! position, the shape of the model. And how it acts on it.
#![forbid(unsafe_code)]

use std::cell::OnceCell;
use std::collections::BTreeMap;

use engine::Model;
use engine::config::Config;
use engine::gguf::Gguf;
use engine::numerics::{Arithmetic, Profile, arithmetic};
use engine::transformer::probe::{Node, Place};

use crate::runner::watch::{Disturbance, Moment};

/// A node as a fault meets it.
pub struct NodeView<'a> {
    /// Name with its suffix, without the layer.
    pub name: &'a str,
    /// Operation.
    pub op: &'a str,
    /// The layer; 0 outside of the layers.
    pub layer: usize,
    /// Outermost first.
    pub shape: &'a [usize],
    /// Row-major.
    pub values: &'a mut [f32],
}

/// What a fault does to a node.
pub trait Change: Fn(&PassState<'_>, NodeView<'_>) + Send + Sync + 'static {}

impl<F: Fn(&PassState<'_>, NodeView<'_>) + Send + Sync + 'static> Change for F {}

/// A change, and what it is made to.
pub struct Act {
    /// When.
    pub moment: Moment,
    /// Of which nodes: `name`, `name|OP` or `|OP`, or all of them.
    pub on: &'static str,
    /// What.
    pub change: Box<dyn Change>,
}

impl Act {
    fn is_on(&self, node: &NodeView<'_>) -> bool {
        let (name, op) = self.on.split_once('|').unwrap_or((self.on, ""));
        (name.is_empty() || name == node.name) && (op.is_empty() || op == node.op)
    }
}

/// What is known so far.
pub struct PassState<'m> {
    /// The hyper-parameters.
    pub config: &'m Config,
    /// The file, for its weights.
    gguf: &'m Gguf,
    /// The engine's own arithmetic: a fault differs in what it means to differ in.
    pub arithmetic: &'static dyn Arithmetic,
    /// Positions before this ubatch.
    pub first: usize,
    /// Tokens of this ubatch.
    pub tokens: usize,
    /// The name of the last node shown.
    previous: String,
    seen: BTreeMap<String, Vec<f32>>,
    keys: BTreeMap<usize, Vec<f32>>,
    values: BTreeMap<usize, Vec<f32>>,
    first_query: OnceCell<(Vec<u8>, f32)>,
}

impl<'m> PassState<'m> {
    /// Before the first token.
    pub fn new(model: &'m Model, profile: Profile) -> Self {
        PassState {
            config: model.config(),
            gguf: model.gguf(),
            arithmetic: arithmetic(profile, model.kernel()),
            first: 0,
            tokens: 0,
            previous: String::new(),
            seen: BTreeMap::new(),
            keys: BTreeMap::new(),
            values: BTreeMap::new(),
            first_query: OnceCell::new(),
        }
    }

    /// A pass in which `acts` happen, in one layer if one is named.
    pub fn disturbed_by(mut self, acts: &'m [Act], only: Option<usize>) -> Disturbance<'m> {
        Box::new(move |moment, node, shape, values| {
            let name = [node.name, node.suffix].concat();
            let view = NodeView::of(node, &name, shape, values);
            match moment {
                Moment::Made => self.enter(&view),
                Moment::Read => self.keep(&view),
            }
            if only.is_some_and(|layer| node.place != Place::Layer(layer)) {
                return;
            }
            for act in acts {
                if act.moment == moment && act.is_on(&view) {
                    let values = &mut *view.values;
                    (act.change)(&self, NodeView { values, ..view });
                }
            }
        })
    }

    /// The last node of that name, and of that operation if several share the name.
    pub fn seen(&self, name: &str) -> &[f32] {
        self.seen.get(name).map_or(&[], |values| values)
    }

    /// The last node shown.
    pub fn previous(&self) -> &[f32] {
        self.seen(&self.previous)
    }

    /// The last `len` values of a node: rows that nobody asked for are not computed to the end.
    pub fn last(&self, name: &str, len: usize) -> &[f32] {
        let seen = self.seen(name);
        &seen[seen.len() - len..]
    }

    /// The keys of every position so far, unrounded, (positions, kv heads · head_dim).
    pub fn keys(&self, layer: usize) -> &[f32] {
        &self.keys[&layer]
    }

    /// The values of every position so far, unrounded, (positions, kv heads · head_dim).
    pub fn values(&self, layer: usize) -> &[f32] {
        &self.values[&layer]
    }

    /// Codes and scale of the first query projection, decoded once a pass.
    pub fn first_query(&self, decode: impl FnOnce(&Gguf) -> (Vec<u8>, f32)) -> &(Vec<u8>, f32) {
        self.first_query.get_or_init(|| decode(self.gguf))
    }

    fn enter(&mut self, node: &NodeView<'_>) {
        if node.name == "inp_embd" {
            self.first += self.tokens;
            self.tokens = node.shape[0];
        }
    }

    fn keep(&mut self, node: &NodeView<'_>) {
        let history = match (node.name, node.op) {
            ("Kcur", "ROPE") => Some(&mut self.keys),
            ("Vcur", _) => Some(&mut self.values),
            _ => None,
        };
        if let Some(history) = history {
            history.entry(node.layer).or_default().extend(&*node.values);
        }
        node.name.clone_into(&mut self.previous);
        let kept = self.seen.entry(self.previous.clone()).or_default();
        kept.clear();
        kept.extend_from_slice(node.values);
    }
}

impl<'a> NodeView<'a> {
    fn of(node: Node, name: &'a str, shape: &'a [usize], values: &'a mut [f32]) -> Self {
        NodeView {
            name,
            op: node.op,
            layer: match node.place {
                Place::Layer(layer) => layer,
                Place::Model | Place::Number(_) => 0,
            },
            shape,
            values,
        }
    }
}
