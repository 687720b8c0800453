//! A build that computes, followed along a schedule: one trait, and the boundary no panic crosses.
#![forbid(unsafe_code)]

pub mod anatomy;
pub mod engine;
pub mod kernels;
pub mod observe;
pub mod passes;
pub mod products;
pub mod recorded;
pub mod recorder;
pub mod reference;
pub mod scripted;
pub mod shelf;
pub mod subject;
pub mod suite;
pub mod watch;
pub mod worker;

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ::engine::Token;

use self::watch::Watch;
use crate::case::Case;
use crate::case::ability::Lacking;
use crate::case::model::ModelFacts;
use crate::case::observation::{Identity, Observation, TracedNode};
use crate::case::schedule::Schedule;
use crate::exit::{Exit, Failure};
use crate::file::provenance::Input;
use crate::judge::demand::Demand;
use crate::reference::isolation::{Death, WorkerExit};

/// What a runner is asked to look at.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    /// The case.
    pub case: &'a Case,
    /// The model file.
    pub model: &'a Input,
}

/// A model to compute with.
#[derive(Clone, Copy)]
pub enum ModelFile<'a> {
    /// A file that was hashed.
    Read(&'a Input),
    /// The bytes of a file that exists nowhere else.
    Made(&'a [u8]),
}

/// A build that computes, or what was kept of one: the engine, a reference, a recording, a script.
pub trait Runner {
    /// Which build it is.
    fn identity(&self) -> Identity;

    /// Whether it computes now, rather than repeating what was computed once.
    fn is_live(&self) -> bool {
        true
    }

    /// Looks into the model it will be asked about: who it is may depend on that.
    fn look_into(&mut self, _model: &Input) {}

    /// Whether its graph has the nodes that recordings have, under the same names.
    fn shows_nodes(&self) -> bool {
        true
    }

    /// What it cannot be asked for.
    fn lacking(&self) -> Lacking {
        Lacking::new()
    }

    /// Tokens it should be fed at most where it computes on several threads.
    fn most_on_threads(&self) -> usize {
        usize::MAX
    }

    /// Opens a model. What is asked of it until it is dropped is computed by the same process;
    /// what only repeats whole cases has no answer.
    fn open<'s>(&'s mut self, _model: ModelFile<'s>) -> Result<Box<dyn Opened + 's>, RunError> {
        let name = self.identity().name;
        let message = format!("{name} knows whole cases and can follow no schedule");
        Err(RunError::NoAnswer(message))
    }

    /// Looks at one case.
    fn observe(&mut self, task: Task<'_>) -> Result<Observation, RunError> {
        let identity = self.identity();
        let mut opened = self.open(ModelFile::Read(task.model))?;
        observe::observe(&mut *opened, identity, task.case, task.case.threads)
    }

    /// The same runner, run other ways that must make no difference. One that differs from itself
    /// is no witness.
    fn controls(&self, _task: Task<'_>) -> Vec<Box<dyn Runner>> {
        Vec::new()
    }

    /// Opens the file once and follows each schedule. One vector comes back for each: the rows of
    /// logits it keeps, in order.
    fn logits(&mut self, file: &[u8], schedules: &[Schedule]) -> Result<Vec<Vec<f32>>, RunError> {
        let mut opened = self.open(ModelFile::Made(file))?;
        let mut follow = |schedule| Ok(opened.follow(schedule, &Watch::default())?.rows);
        schedules.iter().map(&mut follow).collect()
    }

    /// Every node that is computed on the way, in order.
    fn nodes(&mut self, file: &[u8], schedule: &Schedule) -> Result<Vec<TracedNode>, RunError> {
        let mut opened = self.open(ModelFile::Made(file))?;
        Ok(opened.follow(schedule, &Watch::every())?.nodes)
    }
}

/// A model that a runner has opened.
pub trait Opened {
    /// The ids of a text, special tokens added and recognised.
    fn tokenize(&mut self, text: &str) -> Result<Vec<Token>, RunError>;

    /// The text of ids, special tokens shown.
    fn text(&mut self, tokens: &[Token]) -> Result<String, RunError>;

    /// Follows a schedule from an empty cache. A node of `watch` is shown as it was computed, then
    /// replaced; what follows computes on the replacement.
    fn follow(&mut self, schedule: &Schedule, watch: &Watch<'_>) -> Result<Followed, RunError>;
}

/// What a schedule left behind.
#[derive(Debug, Clone, PartialEq)]
pub struct Followed {
    /// The rows of logits that it keeps.
    pub rows: Vec<f32>,
    /// Length of a row.
    pub vocab_size: usize,
    /// The nodes that were to be shown, in execution order.
    pub nodes: Vec<TracedNode>,
    /// The tokens that each row names, where it is not the whole vocabulary.
    pub named: Vec<Vec<Token>>,
}

/// The runner under examination: it can also say what it is made of.
pub trait Subject: Runner {
    /// What computes, for the receipt.
    fn facts(&mut self, task: Task<'_>) -> Result<Facts, RunError>;

    /// What it is held to where the names of two arithmetics do not decide.
    fn demand(&self) -> Demand {
        Demand::Ladder
    }

    /// The same engine for another thread, where it can be there.
    fn elsewhere(&self) -> Option<Box<dyn Subject + Send>> {
        None
    }

    /// The text of each of these ids in the model of a case; nothing if it does not know them.
    fn texts(&mut self, _task: Task<'_>, _tokens: &[Token]) -> Vec<String> {
        Vec::new()
    }

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
    /// What the model is made of.
    pub model: ModelFacts,
    /// What it cannot be asked for.
    pub lacking: Lacking,
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
    /// The machine has not what it takes: memory, or room for a file.
    #[error("{0}")]
    Environment(String),
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

impl From<io::Error> for RunError {
    fn from(error: io::Error) -> Self {
        RunError::Environment(error.to_string())
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let exit = match error {
            RunError::NoAnswer(_) | RunError::Declined(_) => Exit::ReferenceMissing,
            RunError::Refused(_) => Exit::BadInput,
            RunError::NotFinite(_) => Exit::Diverges,
            RunError::Environment(_) => Exit::Environment,
            RunError::Lost(_) => Exit::ReferenceDied,
            RunError::Died(_) => {
                return Failure::new(Exit::EngineDied, format!("the engine {error}"));
            }
        };
        Failure::new(exit, error)
    }
}

impl From<WorkerExit> for RunError {
    fn from(exit: WorkerExit) -> Self {
        match exit {
            WorkerExit::Refused(message) => {
                RunError::Declined(format!("reference_refused: {message}"))
            }
            WorkerExit::Died(death) => RunError::Lost(death),
        }
    }
}

/// Runs `work`; a panic becomes [`RunError::Died`] with its message, so that one death costs one
/// case.
pub fn guarded<T>(work: impl FnOnce() -> Result<T, RunError>) -> Result<T, RunError> {
    // Whatever a panic left half done belongs to a runner that is not asked about this case again.
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(RunError::Died(panic_message(&*panic))))
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
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
