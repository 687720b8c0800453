//! The engine's passes over one prompt: free, fed with somebody's values, and with nobody looking.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use engine::numerics::Profile;
use engine::session::{EvalError, SessionOptions, Wanted};
use engine::transformer::probe::{Node, Probe};
use engine::{Model, Session, Token};

use crate::exit::Failure;
use crate::observation::TracedNode;
use crate::provenance;

/// A node as the engine showed it.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// Which.
    pub node: Node,
    /// `name-layer|OP#occurrence`.
    pub key: String,
    /// Outermost first.
    pub shape: Vec<usize>,
    /// Row-major, before anything was written over them.
    pub values: Vec<f32>,
}

impl Shown {
    /// The same as plain data.
    pub fn traced(&self) -> TracedNode {
        TracedNode {
            key: self.key.clone(),
            shape: self.shape.clone(),
            values: self.values.clone(),
        }
    }
}

/// What a pass left behind.
pub struct Pass {
    /// The nodes that were asked for, in execution order.
    pub nodes: Vec<Shown>,
    /// SHA-256 of the logits' bytes; where they are not finite, the sentence that says so.
    pub logits: String,
}

/// Values by the key of their node.
pub type Values<'a> = BTreeMap<&'a str, &'a TracedNode>;

/// One engine, one prompt, and a fault that tests plant: it sees and may spoil every node before
/// anybody else does, as an operation that computes wrongly would.
pub struct Passes<'m> {
    model: &'m Model,
    options: SessionOptions,
    tokens: &'m [Token],
    fault: Box<dyn Probe + 'm>,
}

impl<'m> Passes<'m> {
    /// Of a prompt that fits one ubatch: with several, every node would occur once in each.
    pub fn new(
        model: &'m Model,
        tokens: &'m [Token],
        profile: Profile,
        ubatch: usize,
    ) -> Result<Self, Failure> {
        if tokens.is_empty() || tokens.len() > ubatch {
            let tokens = tokens.len();
            return Err(Failure::input(format!(
                "a prompt of {tokens} tokens in ubatches of {ubatch}: a trace needs exactly one"
            )));
        }
        let options = SessionOptions {
            context: tokens.len(),
            ubatch,
            threads: 1,
            profile,
        };
        Ok(Passes {
            model,
            options,
            tokens,
            fault: Box::new(()),
        })
    }

    /// With a fault planted.
    pub fn with_fault(self, fault: impl Probe + 'm) -> Self {
        Passes {
            fault: Box::new(fault),
            ..self
        }
    }

    /// The model that computes.
    pub fn model(&self) -> &'m Model {
        self.model
    }

    /// The order of its float operations.
    pub fn profile(&self) -> Profile {
        self.options.profile
    }

    /// The prompt.
    pub fn tokens(&self) -> &'m [Token] {
        self.tokens
    }

    /// Nobody looks: the hash of the logits.
    pub fn unseen(&mut self) -> Result<String, EvalError> {
        let pass = self.run(&BTreeMap::new(), |_| false)?;
        Ok(pass.logits)
    }

    /// The engine on its own, every node kept.
    pub fn free(&mut self) -> Result<Pass, EvalError> {
        self.run(&BTreeMap::new(), |_| true)
    }

    /// The engine on its own, only the nodes kept that `wanted` asks for.
    pub fn free_keeping(&mut self, wanted: impl Fn(Node) -> bool) -> Result<Pass, EvalError> {
        self.run(&BTreeMap::new(), wanted)
    }

    /// After a node is kept it is overwritten with the value of its key, so that what follows
    /// computes on that. All an operation reads passes through nodes, also what the cache stores.
    pub fn fed(&mut self, values: &Values<'_>) -> Result<Pass, EvalError> {
        self.run(values, |_| true)
    }

    fn run(
        &mut self,
        values: &Values<'_>,
        wanted: impl Fn(Node) -> bool,
    ) -> Result<Pass, EvalError> {
        let session = Session::new(self.model, self.options.clone());
        let mut session = session.map_err(EvalError::OutOfMemory)?;
        let mut watcher = Watcher {
            fault: &mut *self.fault,
            values,
            wanted,
            nodes: Vec::new(),
        };
        let logits = match session.feed(self.tokens, Wanted::All, &mut watcher) {
            Ok(logits) => {
                let bytes: Vec<u8> = logits.iter().flat_map(|v| v.to_le_bytes()).collect();
                provenance::sha256(&bytes)
            }
            // The nodes tell more about a NaN than the refusal to hand out logits.
            Err(error @ EvalError::NotFinite { .. }) => error.to_string(),
            Err(error) => return Err(error),
        };
        Ok(Pass {
            nodes: watcher.nodes,
            logits,
        })
    }
}

struct Watcher<'a, W> {
    fault: &'a mut dyn Probe,
    values: &'a Values<'a>,
    wanted: W,
    nodes: Vec<Shown>,
}

impl<W: Fn(Node) -> bool> Probe for Watcher<'_, W> {
    fn at(&mut self, node: Node, shape: &[usize], values: &mut [f32]) {
        self.fault.at(node, shape, values);
        let key = node.to_string();
        let fed = self.values.get(&*key).filter(|fed| fed.shape == shape);
        if (self.wanted)(node) {
            self.nodes.push(Shown {
                node,
                key,
                shape: shape.to_vec(),
                values: values.to_vec(),
            });
        }
        if let Some(fed) = fed {
            values.copy_from_slice(&fed.values);
        }
    }
}
