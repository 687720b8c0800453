//! Whose run a module is put into, and the engine's own.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Sides;
use super::modules::{Depth, modules};
use crate::case::observation::{Identity, TracedNode};
use crate::exit::{Exit, Failure};
use crate::runner::passes::{Pass, Passes, Values};

/// Whose run it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Whose {
    /// The reference's: the engine's modules are put into it.
    Reference,
    /// The engine's: the reference's modules are put into it.
    Engine,
}

/// A run that can be left alone or be given a module's output.
pub trait Run {
    /// Whose.
    fn whose(&self) -> Whose;

    /// Every position's logits where this module is the run's own.
    fn alone(&mut self, module: usize) -> Result<Vec<f32>, Failure>;

    /// The same where this module's output has those values.
    fn given(&mut self, module: usize, values: &[f32]) -> Result<Vec<f32>, Failure>;
}

/// The engine's run, in which everything before the module is the reference's.
pub struct EngineRun<'a, 'm> {
    /// The passes.
    pub passes: &'a mut Passes<'m>,
    /// What the reference has.
    pub sides: &'a Sides,
}

impl Run for EngineRun<'_, '_> {
    fn whose(&self) -> Whose {
        Whose::Engine
    }

    fn alone(&mut self, module: usize) -> Result<Vec<f32>, Failure> {
        let before = fed(&self.sides.theirs[..module]);
        let pass = self.passes.fed_keeping(&before, |_| false)?;
        Ok(numbers(pass, self.sides.logits[1].len()))
    }

    fn given(&mut self, module: usize, values: &[f32]) -> Result<Vec<f32>, Failure> {
        let given = TracedNode {
            values: values.to_vec(),
            ..self.sides.theirs[module].clone()
        };
        let mut all = fed(&self.sides.theirs[..module]);
        all.insert(&given.key, &given);
        let pass = self.passes.fed_keeping(&all, |_| false)?;
        Ok(numbers(pass, self.sides.logits[1].len()))
    }
}

fn fed(nodes: &[TracedNode]) -> Values<'_> {
    nodes.iter().map(|node| (&*node.key, node)).collect()
}

/// The logits; where they are not finite, as many that are no numbers.
fn numbers(pass: Pass, count: usize) -> Vec<f32> {
    pass.logits.unwrap_or_else(|_| vec![f32::NAN; count])
}

impl Sides {
    /// Both versions of every module. `shown` yields the reference's nodes of these keys, as far
    /// as it has them; its logits are the last of them.
    pub fn new(
        reference: Identity,
        passes: &mut Passes<'_>,
        depth: Depth,
        shown: impl FnOnce(&[String]) -> Result<Vec<TracedNode>, Failure>,
    ) -> Result<Self, Failure> {
        if passes.portions() != 1 {
            let (tokens, ubatches) = (passes.tokens().len(), passes.portions());
            return Err(Failure::input(format!(
                "a prompt of {tokens} tokens takes {ubatches} ubatches here, and modules are \
                 swapped in a prefill that is one"
            )));
        }
        let mut nodes = Vec::new();
        let free = passes.free_keeping(|node| {
            nodes.push(node);
            false
        })?;
        let every = modules(&nodes, depth, |_| true).map_err(Failure::input)?;
        let outputs: Vec<String> = every.into_iter().map(|module| module.output).collect();
        let shown = shown(&outputs)?;
        let theirs: BTreeMap<&str, &TracedNode> = fed(&shown);
        let modules = modules(&nodes, depth, |key| theirs.contains_key(key));
        let modules = modules.map_err(incomplete)?;
        let theirs: Vec<TracedNode> = modules.iter().map(|m| theirs[&*m.output].clone()).collect();
        let ours = engines(passes, &theirs)?;
        let logits = theirs
            .last()
            .map_or_else(Vec::new, |head| head.values.clone());
        let count = logits.len();
        Ok(Sides {
            reference,
            profile: passes.profile().name(),
            depth,
            modules,
            theirs,
            ours,
            logits: [logits, numbers(free, count)],
            vocab_size: passes.model().config().vocab_size,
        })
    }
}

/// What the engine's version of every module makes of the reference's inputs, in one pass.
fn engines(passes: &mut Passes<'_>, theirs: &[TracedNode]) -> Result<Vec<TracedNode>, Failure> {
    let outputs: BTreeSet<&str> = theirs.iter().map(|node| &*node.key).collect();
    let pass = passes.fed_keeping(&fed(theirs), |node| outputs.contains(&*node.to_string()))?;
    let mut ours: BTreeMap<String, TracedNode> = pass
        .nodes
        .iter()
        .map(|node| (node.key.clone(), node.traced()))
        .collect();
    let pairs = theirs.iter().map(|theirs| {
        let key = &theirs.key;
        let ours = ours
            .remove(key)
            .ok_or_else(|| incomplete(format!("no {key} here")))?;
        match theirs.is_shaped(&ours.shape) && theirs.values.len() == ours.values.len() {
            true => Ok(ours),
            false => {
                let (theirs, ours) = (&theirs.shape, &ours.shape);
                let message = format!("{key} has shape {theirs:?} there and {ours:?} here");
                Err(incomplete(message))
            }
        }
    });
    pairs.collect()
}

fn incomplete(message: String) -> Failure {
    let exit = Exit::Incomplete;
    Failure::new(exit, message)
}
