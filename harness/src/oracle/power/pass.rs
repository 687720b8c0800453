//! What a planted fault can see of a pass: the nodes so far, the keys and values of every
//! position, the shape of the model. And how it acts on it.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use engine::Model;
use engine::config::Config;
use engine::gguf::Gguf;
use engine::numerics::{Arithmetic, Profile, arithmetic};
use engine::transformer::probe::{Node, Place};

use crate::runner::watch::{Disturbance, Moment};

/// What a fault does to the values of a node.
pub trait Change: Fn(&PassState<'_>, &mut [f32]) + Send + Sync + 'static {}

impl<F: Fn(&PassState<'_>, &mut [f32]) + Send + Sync + 'static> Change for F {}

/// A change, and what it is made to.
pub struct Act {
    pub moment: Moment,
    /// Of which nodes: `name`, `name|OP` or `|OP`, or all of them.
    pub on: &'static str,
    pub change: Box<dyn Change>,
}

/// What is known so far.
pub struct PassState<'m> {
    pub config: &'m Config,
    /// The file, for its weights.
    gguf: &'m Gguf,
    /// The engine's own arithmetic: a fault differs in what it means to differ in.
    pub arithmetic: &'static dyn Arithmetic,
    /// Positions before this ubatch.
    pub first: usize,
    /// Tokens of this ubatch.
    pub tokens: usize,
    /// The node's name with its suffix, without the layer.
    pub name: String,
    /// The layer; 0 outside of the layers.
    pub layer: usize,
    /// The node's shape, outermost first.
    pub shape: Vec<usize>,
    previous: String,
    seen: BTreeMap<String, Vec<f32>>,
    keys: BTreeMap<usize, Vec<f32>>,
    values: BTreeMap<usize, Vec<f32>>,
    first_query: OnceCell<(Vec<u8>, f32)>,
}

impl<'m> PassState<'m> {
    pub fn new(model: &'m Model, profile: Profile) -> Self {
        PassState {
            config: model.config(),
            gguf: model.gguf(),
            arithmetic: arithmetic(profile, model.kernel()),
            first: 0,
            tokens: 0,
            name: String::new(),
            layer: 0,
            shape: Vec::new(),
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
            match moment {
                Moment::Made => self.enter(node, shape),
                Moment::Read => self.keep(node.op, values),
            }
            if only.is_some_and(|layer| node.place != Place::Layer(layer)) {
                return;
            }
            for act in acts.iter().filter(|act| act.moment == moment) {
                let (name, op) = act.on.split_once('|').unwrap_or((act.on, ""));
                let is = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
                if is(name, &self.name) && is(op, node.op) {
                    (act.change)(&self, values);
                }
            }
        })
    }

    /// The last node of that name, and of that operation if several share the name.
    pub fn seen(&self, name: &str) -> &[f32] {
        self.seen.get(name).map_or(&[], |values| values)
    }

    /// The node before.
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

    fn enter(&mut self, node: Node, shape: &[usize]) {
        // A hundred nodes a pass, and passes by the thousand: nothing is allocated anew.
        std::mem::swap(&mut self.previous, &mut self.name);
        self.name.clear();
        self.name.extend([node.name, node.suffix]);
        self.shape.clear();
        self.shape.extend(shape);
        self.layer = match node.place {
            Place::Layer(layer) => layer,
            Place::Model | Place::Number(_) => 0,
        };
        if self.name == "inp_embd" {
            self.first += self.tokens;
            self.tokens = shape[0];
        }
    }

    fn keep(&mut self, op: &str, values: &[f32]) {
        let history = match (&*self.name, op) {
            ("Kcur", "ROPE") => Some(&mut self.keys),
            ("Vcur", _) => Some(&mut self.values),
            _ => None,
        };
        if let Some(history) = history {
            history.entry(self.layer).or_default().extend(values);
        }
        if let Some(kept) = self.seen.get_mut(&self.name) {
            kept.clear();
            kept.extend_from_slice(values);
        } else {
            self.seen.insert(self.name.clone(), values.to_vec());
        }
    }
}
