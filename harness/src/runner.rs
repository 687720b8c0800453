//! Whoever can say what a model computes: one trait, and the boundary no panic crosses.
#![forbid(unsafe_code)]

pub mod anatomy;
pub mod engine;
pub mod kernels;
pub mod logits;
mod multiplied;
pub mod passes;
pub mod perturb;
pub mod recorded;
pub mod recorder;
#[cfg(unix)]
pub mod reference;
pub mod scripted;
pub mod suite;

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::case::Case;
use crate::case::observation::{Identity, Observation};
use crate::file::provenance::Input;
use crate::reference::isolation::Death;

/// What a runner is asked to look at.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    /// The case.
    pub case: &'a Case,
    /// The model file.
    pub model: &'a Input,
}

/// Something that observes cases.
pub trait Runner {
    /// Who it is.
    fn identity(&self) -> Identity;

    /// Whether it computes now, rather than repeating what was computed once.
    fn is_live(&self) -> bool;

    /// Whether its graph has the nodes that recordings have, under the same names.
    fn shows_nodes(&self) -> bool {
        true
    }

    /// Looks at one case.
    fn observe(&mut self, task: Task<'_>) -> Result<Observation, RunError>;

    /// The same runner, run other ways that must make no difference. One that differs from itself
    /// is no witness.
    fn controls(&self, _task: Task<'_>) -> Vec<Box<dyn Runner>> {
        Vec::new()
    }
}

/// The runner under examination: it can also say what it is made of.
pub trait Subject: Runner {
    /// What computes, for the receipt.
    fn facts(&mut self, task: Task<'_>) -> Result<Facts, RunError>;

    /// Looks at one case in the arithmetic of that name; nothing if it does not know it.
    fn observe_in(
        &mut self,
        _task: Task<'_>,
        _profile: &str,
    ) -> Option<Result<Observation, RunError>> {
        None
    }
}

/// What computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Name of the kernel in force.
    pub kernel: String,
    /// The kernel that multiplies the weights of each format.
    pub multiplied_by: BTreeMap<String, String>,
    /// Architecture named by the model file.
    pub architecture: String,
    /// Format of the ternary weights, e.g. `I2_S`.
    pub format: String,
    /// Their packing, e.g. `P128`.
    pub flavor: String,
    /// Whether the packing was given instead of found out.
    pub forced: bool,
}

/// Why there is no observation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// It knows nothing about this case.
    #[error("{0}")]
    NoAnswer(String),
    /// The model or the recording is not acceptable.
    #[error("{0}")]
    Refused(String),
    /// A value that is not a number came up while computing.
    #[error("{0}")]
    NotFinite(String),
    /// It does not take part in this case, which is a property of its own and no fault.
    #[error("{0}")]
    Declined(String),
    /// Its process ended without an answer.
    #[error("{0}")]
    Lost(Box<Death>),
    /// It panicked.
    #[error("died: {0}")]
    Died(String),
}

/// Runs `work`; a panic becomes [`RunError::Died`] with its message, so that one death costs one
/// case.
pub fn guarded<T>(work: impl FnOnce() -> Result<T, RunError>) -> Result<T, RunError> {
    // Whatever a panic left half done belongs to a runner that is not asked about this case again.
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(RunError::Died(last_words(&*panic))))
}

fn last_words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_answer_with_its_last_words() {
        assert_eq!(guarded(|| Ok(1)), Ok(1));
        let died: Result<(), _> = guarded(|| panic!("at node {}", 7));
        assert_eq!(died, Err(RunError::Died("at node 7".into())));
    }
}
