//! The built-in engine beside a subject: compared with in every case, and no reference of its own.

use engine::numerics::Profile;

use crate::case::observation::{Identity, Observation};
use crate::runner::engine::Engine;
use crate::runner::{ModelFile, Opened, RunError, Runner, Task};

/// The built-in engine, which repeats bits that references were seen to compute.
pub struct StandIn(Engine);

impl StandIn {
    /// In the arithmetic that is claimed, if it knows it.
    pub fn new(engine: Engine, claimed: Option<&str>) -> Self {
        match claimed.and_then(Profile::from_name) {
            Some(profile) => StandIn(engine.with_profile(profile)),
            None => StandIn(engine),
        }
    }
}

impl Runner for StandIn {
    fn identity(&self) -> Identity {
        self.0.identity()
    }

    fn is_live(&self) -> bool {
        false
    }

    fn open<'s>(&'s mut self, model: ModelFile<'s>) -> Result<Box<dyn Opened + 's>, RunError> {
        self.0.open(model)
    }

    fn observe(&mut self, task: Task<'_>) -> Result<Observation, RunError> {
        self.0.observe(task)
    }
}
