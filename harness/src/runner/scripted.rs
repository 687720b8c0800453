//! A runner that says what it is told to: plants divergences, deaths and gaps, so that everything
//! downstream can be shown to notice them.

use engine::kernels::Kernel;

use super::engine::Engine;
use super::{Facts, RunError, Runner, Subject, Task};
use crate::case::model::ModelFacts;
use crate::case::observation::{Identity, Observation};

type Edit = Box<dyn FnMut(Task<'_>, &mut Observation) -> Result<(), RunError>>;

/// Repeats another runner's observations under its own name, after an edit.
pub struct Scripted<R> {
    source: R,
    identity: Identity,
    edit: Edit,
}

impl<R: Runner> Scripted<R> {
    /// Says what `source` says, edited, as somebody called `name` of the same arithmetic.
    pub fn new(
        name: &str,
        source: R,
        edit: impl FnMut(Task<'_>, &mut Observation) -> Result<(), RunError> + 'static,
    ) -> Self {
        let identity = Identity {
            name: name.to_owned(),
            profile: source.identity().profile,
            fingerprint: format!("scripted by {name}"),
        };
        Scripted {
            source,
            identity,
            edit: Box::new(edit),
        }
    }
}

impl<R: Runner> Runner for Scripted<R> {
    fn identity(&self) -> Identity {
        self.identity.clone()
    }

    fn is_live(&self) -> bool {
        self.source.is_live()
    }

    fn observe(&mut self, task: Task<'_>) -> Result<Observation, RunError> {
        let mut observation = self.source.observe(task)?;
        observation.identity = self.identity();
        (self.edit)(task, &mut observation)?;
        Ok(observation)
    }
}

impl<R: Runner> Subject for Scripted<R> {
    fn facts(&mut self, task: Task<'_>) -> Result<Facts, RunError> {
        let read = Engine::new(Kernel::Scalar, 1).facts(task);
        let unread = |_| ModelFacts::named("scripted");
        Ok(Facts {
            kernel: "scripted".into(),
            model: read.map_or_else(unread, |facts| facts.model),
            lacking: Default::default(),
            multiplied_by: Default::default(),
        })
    }
}
