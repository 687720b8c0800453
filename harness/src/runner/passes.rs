//! One prompt in ubatches, computed by the engine or by somebody else's: passes that are free,
//! watched, or given other values.

use engine::numerics::Profile;
use engine::{Model, Token};

use super::engine::{Computing, Pass};
use super::watch::{Plant, Values, Watch};
use super::{Opened, RunError};
use crate::case::ability::{Ability, Lacking};
use crate::case::observation::{Identity, Lane};
use crate::case::schedule::{Schedule, Step};
use crate::exit::Failure;

/// One engine, one prompt, and perhaps a fault.
pub struct Passes<'m> {
    /// The engine.
    pub engine: Computing<'m, &'m Model>,
    /// The prompt, its logits asked for everywhere.
    pub prefill: Schedule,
}

impl<'m> Passes<'m> {
    /// Of a prompt that takes one ubatch or several.
    pub fn new(
        model: &'m Model,
        tokens: &[Token],
        profile: Profile,
        ubatch: usize,
    ) -> Result<Self, Failure> {
        if tokens.is_empty() {
            return Err(Failure::input("the prompt has no tokens"));
        }
        let prefill = Schedule::of(Step::of_lane(Lane::Prefill, tokens));
        Ok(Passes {
            engine: Computing::new(model, profile),
            prefill: Schedule { ubatch, ..prefill },
        })
    }

    /// With a fault that begins anew in every pass.
    pub fn with(mut self, plant: Plant<'m>) -> Self {
        self.engine = self.engine.with(plant);
        self
    }

    /// The prompt.
    pub fn tokens(&self) -> &[Token] {
        self.prefill.steps[0].tokens()
    }

    /// Portions the prompt is computed in.
    pub fn portions(&self) -> usize {
        self.tokens().len().div_ceil(self.prefill.ubatch)
    }

    /// Once through the prompt. What is to be replaced and is not there is left alone.
    pub fn pass(&mut self, watch: &Watch<'_>) -> Result<Pass, Failure> {
        Ok(self.engine.pass(&self.prefill, watch)?)
    }

    /// The engine on its own, every node kept.
    pub fn free(&mut self) -> Result<Pass, Failure> {
        self.pass(&Watch::every())
    }

    /// After a node is kept it is overwritten with the value of its key, so that what follows
    /// computes on that. All an operation reads passes through nodes, also what the cache stores.
    pub fn fed(&mut self, values: Values<'_>) -> Result<Pass, Failure> {
        self.pass(&Watch::replacing(values))
    }
}

/// Whoever passes over a prompt and can be watched.
pub trait Passing {
    /// Once through the prompt.
    fn pass(&mut self, watch: &Watch<'_>) -> Result<Pass, Failure>;

    /// The order of its float operations.
    fn profile(&self) -> &str;

    /// Who it is, unless it is the engine.
    fn guest(&self) -> Option<&Identity>;

    /// Whether it goes on from values that it is given.
    fn replaces(&self) -> bool;

    /// The engine's view of the model.
    fn model(&self) -> &Model;

    /// The prompt.
    fn tokens(&self) -> &[Token];
}

impl Passing for Passes<'_> {
    fn pass(&mut self, watch: &Watch<'_>) -> Result<Pass, Failure> {
        self.pass(watch)
    }

    fn profile(&self) -> &str {
        self.engine.profile().name()
    }

    fn guest(&self) -> Option<&Identity> {
        None
    }

    fn replaces(&self) -> bool {
        true
    }

    fn model(&self) -> &Model {
        self.engine.model()
    }

    fn tokens(&self) -> &[Token] {
        self.tokens()
    }
}

/// Somebody else's engine on a prompt.
pub struct Guest<'a> {
    /// The model, opened by it.
    pub opened: &'a mut dyn Opened,
    /// Who it is.
    pub identity: Identity,
    /// What it cannot do.
    pub lacking: Lacking,
    /// The prompt, its logits asked for everywhere.
    pub prefill: Schedule,
    /// The engine's view of the model.
    pub model: &'a Model,
}

impl Passing for Guest<'_> {
    fn pass(&mut self, watch: &Watch<'_>) -> Result<Pass, Failure> {
        let (nodes, logits) = match self.opened.follow(&self.prefill, watch) {
            Ok(followed) => (followed.nodes, Ok(followed.rows)),
            Err(RunError::NotFinite(why)) => (Vec::new(), Err(why)),
            Err(error) => return Err(error.into()),
        };
        let missing = None;
        Ok(Pass {
            nodes,
            logits,
            missing,
        })
    }

    fn profile(&self) -> &str {
        &self.identity.profile
    }

    fn guest(&self) -> Option<&Identity> {
        Some(&self.identity)
    }

    fn replaces(&self) -> bool {
        !self.lacking.contains(&Ability::Replace)
    }

    fn model(&self) -> &Model {
        self.model
    }

    fn tokens(&self) -> &[Token] {
        self.prefill.steps[0].tokens()
    }
}
