//! The engine's passes over one prompt: free, fed with given values, and unobserved.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use engine::numerics::Profile;
use engine::session::{EvalError, SessionOptions, Wanted};
use engine::transformer::probe::{Node, Probe};
use engine::{Model, Session, Token};

use crate::case::observation::{Occurrences, TracedNode};
use crate::exit::{Exit, Failure};
use crate::file::provenance;
use crate::runner::perturb::{Moment, Perturb, Plant, undisturbed};
use crate::runner::{RunError, guarded};

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
    /// Every position's logits; where they are not finite, the sentence that says so.
    pub logits: Result<Vec<f32>, String>,
}

impl Pass {
    /// SHA-256 of the logits' bytes, or the sentence.
    pub fn hash(&self) -> String {
        let bytes = |v: &Vec<f32>| v.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let logits = self.logits.as_ref();
        logits.map_or_else(Clone::clone, |v| provenance::sha256(&bytes(v)))
    }
}

/// Values by the key of their node.
pub type Values<'a> = BTreeMap<&'a str, &'a TracedNode>;

/// One engine, one prompt, and perhaps a fault.
pub struct Passes<'m> {
    model: &'m Model,
    options: SessionOptions,
    tokens: &'m [Token],
    plant: Box<Plant<'m>>,
}

impl<'m> Passes<'m> {
    /// Of a prompt that takes one ubatch or several.
    pub fn new(
        model: &'m Model,
        tokens: &'m [Token],
        profile: Profile,
        ubatch: usize,
    ) -> Result<Self, Failure> {
        if tokens.is_empty() {
            return Err(Failure::input("the prompt has no tokens"));
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
            plant: Box::new(undisturbed),
        })
    }

    /// On so many threads.
    pub fn on_threads(mut self, threads: usize) -> Self {
        self.options.threads = threads;
        self
    }

    /// With a faulty operation, the same one in every pass.
    pub fn with_fault(self, fault: impl Probe + 'm) -> Self {
        let fault = Rc::new(RefCell::new(fault));
        self.with(Box::new(move || {
            let fault = Rc::clone(&fault);
            Box::new(move |moment, node, shape, values| {
                if moment == Moment::Made {
                    fault.borrow_mut().at(node, shape, values);
                }
            })
        }))
    }

    /// With a fault that begins anew in every pass.
    pub fn with(self, plant: Box<Plant<'m>>) -> Self {
        Passes { plant, ..self }
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

    /// Portions the prompt is computed in.
    pub fn portions(&self) -> usize {
        self.tokens.len().div_ceil(self.options.ubatch)
    }

    /// Nothing is observed, and everything is computed.
    pub fn unseen(&mut self) -> Result<Pass, Failure> {
        self.fed_keeping(&BTreeMap::new(), |_| false)
    }

    /// The engine on its own, every node kept.
    pub fn free(&mut self) -> Result<Pass, Failure> {
        self.fed_keeping(&BTreeMap::new(), |_| true)
    }

    /// The engine on its own, only the nodes kept that `wanted` asks for.
    pub fn free_keeping(&mut self, wanted: impl FnMut(Node) -> bool) -> Result<Pass, Failure> {
        self.fed_keeping(&BTreeMap::new(), wanted)
    }

    /// After a node is kept it is overwritten with the value of its key, so that what follows
    /// computes on that. All an operation reads passes through nodes, also what the cache stores.
    pub fn fed(&mut self, values: &Values<'_>) -> Result<Pass, Failure> {
        self.fed_keeping(values, |_| true)
    }

    /// The same, only the nodes kept that `wanted` asks for.
    pub fn fed_keeping(
        &mut self,
        values: &Values<'_>,
        wanted: impl FnMut(Node) -> bool,
    ) -> Result<Pass, Failure> {
        let died = |died| Failure::new(Exit::EngineDied, format!("the engine {died}"));
        Ok(self.pass(values, wanted).map_err(died)??)
    }

    /// The same. A panic of the engine costs this pass and nothing that was found before.
    pub fn pass(
        &mut self,
        values: &Values<'_>,
        wanted: impl FnMut(Node) -> bool,
    ) -> Result<Result<Pass, EvalError>, RunError> {
        guarded(|| Ok(self.unguarded(values, wanted)))
    }

    fn unguarded(
        &mut self,
        values: &Values<'_>,
        wanted: impl FnMut(Node) -> bool,
    ) -> Result<Pass, EvalError> {
        let session = Session::new(self.model, self.options.clone());
        let mut session = session.map_err(EvalError::OutOfMemory)?;
        let keeper = Keeper {
            values,
            wanted,
            occurrences: Occurrences::default(),
            nodes: Vec::new(),
        };
        let mut probe = Perturb::new((self.plant)(), keeper);
        let logits = match session.feed(self.tokens, Wanted::All, &mut probe) {
            Ok(logits) => Ok(logits),
            // The nodes tell more about a NaN than the refusal to hand out logits.
            Err(error @ EvalError::NotFinite { .. }) => Err(error.to_string()),
            Err(error) => return Err(error),
        };
        Ok(Pass {
            nodes: probe.probe.nodes,
            logits,
        })
    }
}

/// Keeps the nodes that are wanted, and overwrites those that are fed.
struct Keeper<'a, W> {
    values: &'a Values<'a>,
    wanted: W,
    occurrences: Occurrences,
    nodes: Vec<Shown>,
}

impl<W: FnMut(Node) -> bool> Probe for Keeper<'_, W> {
    fn at(&mut self, node: Node, shape: &[usize], values: &mut [f32]) {
        let shown = self.occurrences.count(node);
        let key = shown.to_string();
        let fed = self.values.get(&*key).filter(|fed| fed.is_shaped(shape));
        if (self.wanted)(shown) {
            self.nodes.push(Shown {
                node: shown,
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
