//! Whose run a module is put into, and the engine's own.

use serde::Serialize;

use super::Sides;
use super::modules::{Depth, modules};
use crate::case::observation::{Identity, TracedNode};
use crate::case::schedule::Schedule;
use crate::exit::{Exit, Failure};
use crate::reference::isolation::Shown;
use crate::runner::passes::Passes;
use crate::runner::watch::{Values, Watch, by_key};
use crate::runner::{Opened, RunError};

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
        Run {
            whose: Whose::Engine,
            prefill: passes.prefill.clone(),
            opened: &mut passes.engine,
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
            Whose::Engine => by_key(&self.outputs[..module]),
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
    let followed = opened.follow(prefill, &Watch::these(keys.to_vec()));
    Ok(followed.map_err(lost)?.nodes)
}

/// It took part before, so its silence now is a gap.
fn lost(error: RunError) -> Failure {
    match error {
        RunError::Declined(why) | RunError::NoAnswer(why) => incomplete(why),
        error => error.into(),
    }
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
        let free = passes.free()?;
        let keys: Vec<String> = free.nodes.into_iter().map(|node| node.key).collect();
        let every = modules(&keys, depth, |_| true).map_err(Failure::input)?;
        let outputs: Vec<String> = every.into_iter().map(|module| module.output).collect();
        let shown = shown(&outputs)?;
        let theirs = by_key(&shown);
        let modules = modules(&keys, depth, |key| theirs.contains_key(key));
        let modules = modules.map_err(incomplete)?;
        let theirs: Vec<TracedNode> = modules.iter().map(|m| theirs[&*m.output].clone()).collect();
        let ours = engines(passes, &theirs)?;
        let logits = theirs
            .last()
            .map_or_else(Vec::new, |head| head.values.clone());
        // Where they are not finite, as many that are no numbers.
        let own = free.logits.unwrap_or_else(|_| vec![f32::NAN; logits.len()]);
        Ok(Sides {
            reference,
            profile: passes.engine.profile().name(),
            depth,
            modules,
            theirs,
            ours,
            logits: [logits, own],
            vocab_size: passes.engine.model().config().vocab_size,
        })
    }
}

/// What the engine's version of every module makes of the reference's inputs, in one pass.
fn engines(passes: &mut Passes<'_>, theirs: &[TracedNode]) -> Result<Vec<TracedNode>, Failure> {
    let ours = passes.pass(&Watch {
        shown: Shown::These(theirs.iter().map(|node| node.key.clone()).collect()),
        replaced: by_key(theirs),
    })?;
    for theirs in theirs {
        let (key, shape) = (&theirs.key, &theirs.shape);
        let ours = ours.nodes.iter().find(|node| node.key == *key);
        let ours = ours.ok_or_else(|| incomplete(format!("no {key} here")))?;
        if !theirs.is_shaped(&ours.shape) || theirs.values.len() != ours.values.len() {
            let ours = &ours.shape;
            let message = format!("{key} has shape {shape:?} there and {ours:?} here");
            return Err(incomplete(message));
        }
    }
    Ok(ours.nodes)
}

fn incomplete(message: String) -> Failure {
    let exit = Exit::Incomplete;
    Failure::new(exit, message)
}
