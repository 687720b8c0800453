//! What is the same for every engine that a user brings: the facts of its model, and what it is
//! held to.

use super::UNNAMED;
use crate::case::ability::{Ability, Lacking};
use crate::case::model::ModelFacts;
use crate::runner::engine::Engine;
use crate::runner::{Facts, Subject, Task};

/// What the receipt says of an engine called `name`. The model's facts are the built-in engine's,
/// as far as that reads the model. No case of a run replaces a node, so that this is not told.
pub fn facts(host: &mut Engine, task: Task<'_>, name: &str, lacking: &Lacking) -> Facts {
    let facts = host.facts(task).map(|facts| facts.model);
    let mut lacking = lacking.clone();
    lacking.remove(&Ability::Replace);
    Facts {
        kernel: name.to_owned(),
        multiplied_by: Default::default(),
        lacking,
        model: facts.unwrap_or_else(|_| ModelFacts::named("unknown")),
    }
}

/// The arithmetic that is claimed.
pub fn profile(claimed: Option<&String>) -> String {
    claimed.cloned().unwrap_or_else(|| UNNAMED.to_owned())
}
