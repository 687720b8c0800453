//! What a planted fault can see of a pass: the nodes so far, the keys and values of every
//! position, the shape of the model. And the probe that lets it act.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use engine::config::Config;
use engine::gguf::Gguf;
use engine::numerics::Arithmetic;
use engine::transformer::probe::{Node, Place, Probe};

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
    pub fn new(config: &'m Config, gguf: &'m Gguf, arithmetic: &'static dyn Arithmetic) -> Self {
        Scene {
            config,
            gguf,
            arithmetic,
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

/// Lets a fault act on a pass.
pub struct Meddling<'m, 'p> {
    scene: Scene<'m>,
    made: Act,
    read: Act,
    witness: &'p mut dyn Probe,
}

impl<'m, 'p> Meddling<'m, 'p> {
    /// `made` acts before the witness sees a node, `read` on what the next operation reads.
    pub fn new(scene: Scene<'m>, [made, read]: [Act; 2], witness: &'p mut dyn Probe) -> Self {
        Meddling {
            scene,
            made,
            read,
            witness,
        }
    }
}

impl Probe for Meddling<'_, '_> {
    fn at(&mut self, node: Node, shape: &[usize], values: &mut [f32]) {
        let mut at = At {
            name: format!("{}{}", node.name, node.suffix),
            op: node.op,
            layer: match node.place {
                Place::Layer(layer) => layer,
                Place::Model | Place::Number(_) => 0,
            },
            shape,
            values,
        };
        self.scene.enter(&at);
        (self.made)(&self.scene, at.again());
        self.witness.at(node, shape, at.values);
        self.scene.keep(&at);
        (self.read)(&self.scene, at.again());
    }
}

impl At<'_> {
    /// The same node for somebody else.
    fn again(&mut self) -> At<'_> {
        At {
            name: self.name.clone(),
            values: self.values,
            ..*self
        }
    }
}

/// No fault at all.
pub const NOTHING: [Act; 2] = [nothing, nothing];

/// Does nothing.
pub fn nothing(_: &Scene<'_>, _: At<'_>) {}
