//! What a planted fault can see of a pass: the nodes so far, the keys and values of every
//! position, the shape of the model. And the probe that lets it act.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use engine::Model;
use engine::config::Config;
use engine::gguf::Gguf;
use engine::numerics::{Arithmetic, Profile, arithmetic};
use engine::transformer::probe::{Node, Place, Probe};

use crate::runner::passes::Fault;

/// A node as a fault meets it.
pub struct At<'a> {
    /// Name with its suffix, without the layer.
    pub name: String,
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
pub type Act = fn(&Scene<'_>, At<'_>);

/// What is known so far.
pub struct Scene<'m> {
    /// The hyper-parameters.
    pub config: &'m Config,
    /// The file, for its weights.
    pub gguf: &'m Gguf,
    /// The engine's own arithmetic: a fault differs in what it means to differ in.
    pub arithmetic: &'static dyn Arithmetic,
    /// Positions before this ubatch.
    pub first: usize,
    /// Tokens of this ubatch.
    pub tokens: usize,
    /// The last node shown.
    pub previous: Vec<f32>,
    seen: BTreeMap<String, Vec<f32>>,
    keys: BTreeMap<usize, Vec<f32>>,
    values: BTreeMap<usize, Vec<f32>>,
}

impl<'m> Scene<'m> {
    /// Before the first token.
    pub fn of(model: &'m Model, profile: Profile) -> Self {
        Scene {
            config: model.config(),
            gguf: model.gguf(),
            arithmetic: arithmetic(profile, model.kernel()),
            first: 0,
            tokens: 0,
            previous: Vec::new(),
            seen: BTreeMap::new(),
            keys: BTreeMap::new(),
            values: BTreeMap::new(),
        }
    }

    /// The last node of that name, and of that operation if several share the name.
    pub fn seen(&self, name: &str) -> &[f32] {
        self.seen.get(name).map_or(&[], |values| values)
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

    fn enter(&mut self, at: &At<'_>) {
        if at.name == "inp_embd" {
            self.first += self.tokens;
            self.tokens = at.shape[0];
        }
    }

    fn keep(&mut self, at: &At<'_>) {
        let history = match (at.name.as_str(), at.op) {
            ("Kcur", "ROPE") => Some(&mut self.keys),
            ("Vcur", _) => Some(&mut self.values),
            _ => None,
        };
        if let Some(history) = history {
            history.entry(at.layer).or_default().extend(&*at.values);
        }
        self.previous = at.values.to_vec();
        self.seen.insert(at.name.clone(), self.previous.clone());
    }
}

/// A fault, acting on one pass.
pub struct Planted<'m> {
    scene: Scene<'m>,
    acts: [Act; 2],
    /// Acts in this layer only.
    only: Option<usize>,
}

impl<'m> Planted<'m> {
    /// The first act is what makes a value, the second what the next operation reads.
    pub fn new(scene: Scene<'m>, acts: [Act; 2]) -> Self {
        let only = None;
        Planted { scene, acts, only }
    }

    /// In one layer, if one is named.
    pub fn in_layer(self, only: Option<usize>) -> Self {
        Planted { only, ..self }
    }

    fn acts_at(&self, node: Node) -> bool {
        self.only
            .is_none_or(|layer| node.place == Place::Layer(layer))
    }
}

impl Fault for Planted<'_> {
    fn made(&mut self, node: Node, shape: &[usize], values: &mut [f32]) {
        let at = At::of(node, shape, values);
        self.scene.enter(&at);
        if self.acts_at(node) {
            self.acts[0](&self.scene, at);
        }
    }

    fn read(&mut self, node: Node, shape: &[usize], values: &mut [f32]) {
        let at = At::of(node, shape, values);
        self.scene.keep(&at);
        if self.acts_at(node) {
            self.acts[1](&self.scene, at);
        }
    }
}

/// Lets a fault act on a pass that somebody watches.
pub struct Meddling<'m, 'p> {
    fault: Planted<'m>,
    witness: &'p mut dyn Probe,
}

impl<'m, 'p> Meddling<'m, 'p> {
    /// The fault acts before the witness sees a node, and on what the next operation reads.
    pub fn new(fault: Planted<'m>, witness: &'p mut dyn Probe) -> Self {
        Meddling { fault, witness }
    }
}

impl Probe for Meddling<'_, '_> {
    fn at(&mut self, node: Node, shape: &[usize], values: &mut [f32]) {
        self.fault.made(node, shape, values);
        self.witness.at(node, shape, values);
        self.fault.read(node, shape, values);
    }
}

impl<'a> At<'a> {
    fn of(node: Node, shape: &'a [usize], values: &'a mut [f32]) -> Self {
        At {
            name: format!("{}{}", node.name, node.suffix),
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

/// No fault at all.
pub const NOTHING: [Act; 2] = [nothing, nothing];

/// Does nothing.
pub fn nothing(_: &Scene<'_>, _: At<'_>) {}
