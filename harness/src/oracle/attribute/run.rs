//! Whose run a module is put into, and the engine's own.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};

use ::engine::Token;
use ::engine::transformer::probe::Node;
use serde::Serialize;

use super::Sides;
use super::modules::{Depth, modules};
use crate::case::observation::{Identity, Lane, TracedNode};
use crate::case::schedule::{Schedule, Step};
use crate::exit::{Exit, Failure};
use crate::reference::isolation::Shown;
use crate::runner::passes::{self, Pass, Passes, Values};
use crate::runner::watch::Watch;
use crate::runner::{Followed, Opened, RunError, engine};

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
pub struct Run<'a> {
    whose: Whose,
    opened: &'a mut dyn Opened,
    prefill: Schedule,
    outputs: &'a [TracedNode],
    /// What the run computes with nothing in it replaced, once it was asked.
    alone: Option<Vec<f32>>,
}

impl<'a> Run<'a> {
    /// The reference's run, which computes everything before the module by itself.
    pub fn of_reference(opened: &'a mut dyn Opened, prefill: Schedule, sides: &'a Sides) -> Self {
        Run {
            whose: Whose::Reference,
            opened,
            prefill,
            outputs: &sides.theirs,
            alone: None,
        }
    }

    /// The engine's run, in which everything before the module is the reference's.
    pub fn of_engine(passes: &'a mut Passes<'_>, sides: &'a Sides) -> Self {
        let prefill = Step::of_lane(Lane::Prefill, passes.tokens());
        Run {
            whose: Whose::Engine,
            prefill: Schedule::of(prefill),
            opened: passes,
            outputs: &sides.theirs,
            alone: None,
        }
    }

    /// Whose.
    pub fn whose(&self) -> Whose {
        self.whose
    }

    /// Every position's logits where this module is the run's own.
    pub fn alone(&mut self, module: usize) -> Result<Vec<f32>, Failure> {
        let before = self.before(module);
        if !before.is_empty() {
            return self.logits(before);
        }
        if self.alone.is_none() {
            self.alone = Some(self.logits(before)?);
        }
        Ok(self.alone.clone().expect("just computed"))
    }

    /// The same where this module's output has those values.
    pub fn given(&mut self, module: usize, values: &[f32]) -> Result<Vec<f32>, Failure> {
        let given = TracedNode {
            values: values.to_vec(),
            ..self.outputs[module].clone()
        };
        let mut replaced = self.before(module);
        replaced.insert(&given.key, &given);
        self.logits(replaced)
    }

    fn before(&self, module: usize) -> Values<'a> {
        match self.whose {
            Whose::Reference => Values::new(),
            Whose::Engine => fed(&self.outputs[..module]),
        }
    }

    /// The logits; where they are not finite, as many that are no numbers.
    fn logits(&mut self, replaced: Values<'_>) -> Result<Vec<f32>, Failure> {
        let watch = Watch {
            replaced,
            ..Watch::default()
        };
        match self.opened.follow(&self.prefill, &watch) {
            Ok(followed) => Ok(followed.rows),
            Err(RunError::NotFinite(_)) => {
                let head = self.outputs.last();
                Ok(vec![f32::NAN; head.map_or(0, |head| head.values.len())])
            }
            Err(error) => Err(lost(error)),
        }
    }
}

/// The nodes of these keys in a prefill, as far as there are any.
pub fn shown(
    opened: &mut dyn Opened,
    prefill: &Schedule,
    keys: &[String],
) -> Result<Vec<TracedNode>, Failure> {
    let watch = Watch {
        shown: Shown::These(keys.to_vec()),
        ..Watch::default()
    };
    let followed = opened.follow(prefill, &watch);
    Ok(followed.map_err(lost)?.nodes)
}

/// It took part before, so its silence now is a gap.
fn lost(error: RunError) -> Failure {
    let exit = match error {
        RunError::Declined(_) => Exit::Incomplete,
        RunError::Lost(_) => Exit::ReferenceDied,
        RunError::Died(_) => Exit::EngineDied,
        _ => Exit::BadInput,
    };
    if exit == Exit::EngineDied {
        return Failure::new(exit, format!("the engine {error}"));
    }
    Failure::new(exit, error)
}

/// The engine's passes follow one schedule, which is their own.
impl Opened for Passes<'_> {
    fn tokenize(&mut self, text: &str) -> Result<Vec<Token>, RunError> {
        engine::tokenize(self.model(), text)
    }

    fn text(&mut self, tokens: &[Token]) -> Result<String, RunError> {
        engine::text(self.model(), tokens)
    }

    fn follow(&mut self, schedule: &Schedule, watch: &Watch<'_>) -> Result<Followed, RunError> {
        if schedule.steps != Step::of_lane(Lane::Prefill, self.tokens()) {
            return Err(RunError::NoAnswer(
                "these passes are of another prompt".into(),
            ));
        }
        let wanted = |node: Node| watch.shown.has(&node.to_string());
        let pass = self.pass(&watch.replaced, wanted)?;
        let pass = pass.map_err(engine::stopped)?;
        Ok(Followed {
            rows: pass.logits.map_err(RunError::NotFinite)?,
            vocab_size: self.model().config().vocab_size,
            nodes: pass.nodes.iter().map(passes::Shown::traced).collect(),
        })
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
        if theirs.is_shaped(&ours.shape) && theirs.values.len() == ours.values.len() {
            Ok(ours)
        } else {
            let (theirs, ours) = (&theirs.shape, &ours.shape);
            let message = format!("{key} has shape {theirs:?} there and {ours:?} here");
            Err(incomplete(message))
        }
    });
    pairs.collect()
}

fn incomplete(message: String) -> Failure {
    let exit = Exit::Incomplete;
    Failure::new(exit, message)
}
