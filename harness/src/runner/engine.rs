//! The engine of this repository behind the runner's trait.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use engine::bytes::Storage;
use engine::kernels::Kernel;
use engine::numerics::Profile;
use engine::refusal::Refusal;
use engine::session::{EvalError, SessionOptions, Wanted};
use engine::transformer::probe::Probe;
use engine::{Model, Session, Token};

use super::watch::{Plant, Watch, Watching};
use super::{Facts, Followed, ModelFile, Opened, RunError, Runner, Subject, Task, guarded};
use crate::case::ability::Lacking;
use crate::case::model::ModelFacts;
use crate::case::observation::{Identity, Observation, TracedNode};
use crate::case::schedule::{self, Schedule};
use crate::case::taken::Taken;
use crate::file::provenance::Input;
use crate::file::reading::Reading;

/// The engine with one kernel and one number of threads.
pub struct Engine {
    kernel: Kernel,
    threads: usize,
    reading: Reading,
    profile: Profile,
    /// Whether it can be asked for another arithmetic.
    follows: bool,
    last: Last,
}

/// The model last looked at, and the hash that names it; shared by engines that differ only in
/// what a model does not depend on.
type Last = Arc<Mutex<Option<(String, Arc<Model>)>>>;

impl Engine {
    /// An engine that has opened nothing yet.
    pub fn new(kernel: Kernel, threads: usize) -> Self {
        Engine {
            kernel,
            threads,
            reading: Reading::default(),
            profile: Profile::default(),
            follows: true,
            last: Last::default(),
        }
    }

    /// With what was said about files that leave something open.
    pub fn reading(self, reading: Reading) -> Self {
        Engine { reading, ..self }
    }

    /// With another order of float operations.
    pub fn with_profile(self, profile: Profile) -> Self {
        Engine {
            profile,
            follows: false,
            ..self
        }
    }

    /// The same engine with another number of threads, on the same copy of the model.
    pub fn on_threads(&self, threads: usize) -> Self {
        Engine {
            threads,
            last: Arc::clone(&self.last),
            ..*self
        }
    }

    /// The ids of the case's prompt, special tokens added and recognised.
    pub fn tokenize(&self, task: Task<'_>) -> Result<Vec<Token>, RunError> {
        tokenize(&*self.model(task.model)?, &task.case.prompt)
    }

    /// A model, opened once as long as it stays the same.
    pub fn model(&self, input: &Input) -> Result<Arc<Model>, RunError> {
        let sha256 = &input.sha256;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((name, model)) if name == sha256 => return Ok(Arc::clone(model)),
            // Forgotten before the next one is opened, so that only one is in memory.
            _ => *last = None,
        }
        let model = open(input, self.reading, Some(self.kernel)).map_err(refused)?;
        let model = Arc::new(model);
        *last = Some((sha256.clone(), Arc::clone(&model)));
        Ok(model)
    }
}

/// The engine's view of a model file, which it reads a second time: what it read must be what was
/// hashed.
pub fn open(input: &Input, reading: Reading, kernel: Option<Kernel>) -> Result<Model, Refusal> {
    let model = Model::open(&input.path, &reading.options(Storage::Read, kernel))?;
    input.is_stamped(&model.stamp())?;
    Ok(model)
}

impl Runner for Engine {
    fn identity(&self) -> Identity {
        let threads = match self.threads {
            1 => String::new(),
            n => format!(" on {n} threads"),
        };
        Identity {
            name: format!("engine {}{threads}", self.kernel.name()),
            profile: self.profile.name().into(),
            fingerprint: format!("engine {}", env!("CARGO_PKG_VERSION")),
        }
    }

    fn open<'s>(&'s mut self, model: ModelFile<'s>) -> Result<Box<dyn Opened + 's>, RunError> {
        let model = match model {
            ModelFile::Read(input) => self.model(input)?,
            ModelFile::Made(file) => {
                let options = self.reading.options(Storage::Read, Some(self.kernel));
                let model = Model::from_bytes(file.to_vec(), &options);
                Arc::new(model.map_err(refused)?)
            }
        };
        Ok(Box::new(Computing::new(model, self.profile)))
    }

    fn observe(&mut self, task: Task<'_>) -> Result<Observation, RunError> {
        let (identity, threads) = (self.identity(), self.threads);
        let mut opened = Computing::new(self.model(task.model)?, self.profile);
        let seen = super::observe::observe(&mut opened, identity, task.case, threads)?;
        let taken = opened.taken;
        Ok(Observation { taken, ..seen })
    }
}

/// A model in the engine, and perhaps a fault that disturbs its passes.
pub struct Computing<'m, M> {
    model: M,
    profile: Profile,
    plant: Option<Plant<'m>>,
    /// The parts of the engine that ran in its passes.
    taken: Taken,
}

/// What a pass left behind.
pub struct Pass {
    /// The nodes that were to be shown, in execution order.
    pub nodes: Vec<TracedNode>,
    /// The rows of logits that were kept; where they are not finite, the sentence that says so.
    pub logits: Result<Vec<f32>, String>,
    /// The key of a node that was to be replaced and is not there in the shape it was given.
    pub missing: Option<String>,
}

impl<'m, M: Deref<Target = Model>> Computing<'m, M> {
    /// Without a fault.
    pub fn new(model: M, profile: Profile) -> Self {
        Computing {
            model,
            profile,
            plant: None,
            taken: Taken::default(),
        }
    }

    /// With a fault that begins anew in every pass.
    pub fn with(self, plant: Plant<'m>) -> Self {
        let plant = Some(plant);
        Computing { plant, ..self }
    }

    /// The model that computes.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The order of its float operations.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// The parts of the engine that ran in its passes.
    pub fn taken(&self) -> &Taken {
        &self.taken
    }

    /// Follows a schedule as far as it goes: the nodes tell more about a NaN than the refusal to
    /// hand out logits. A panic of the engine costs this pass and nothing that was found before.
    pub fn pass(&mut self, schedule: &Schedule, watch: &Watch<'_>) -> Result<Pass, RunError> {
        guarded(|| {
            let disturb = self.plant.as_ref().map(|plant| plant());
            let mut probe = Watching::new(watch, disturb);
            let rows = follow(&self.model, self.profile, schedule, &mut probe);
            self.taken.extend(&probe.taken);
            Ok(Pass {
                logits: match rows.map_err(stopped) {
                    Ok(rows) => Ok(rows),
                    Err(RunError::NotFinite(why)) => Err(why),
                    Err(error) => return Err(error),
                },
                missing: probe.missing.keys().next().map(|key| (*key).to_owned()),
                nodes: probe.nodes,
            })
        })
    }
}

impl<M: Deref<Target = Model>> Opened for Computing<'_, M> {
    fn tokenize(&mut self, text: &str) -> Result<Vec<Token>, RunError> {
        tokenize(&self.model, text)
    }

    fn text(&mut self, tokens: &[Token]) -> Result<String, RunError> {
        text(&self.model, tokens)
    }

    fn follow(&mut self, schedule: &Schedule, watch: &Watch<'_>) -> Result<Followed, RunError> {
        let pass = self.pass(schedule, watch)?;
        let rows = pass.logits.map_err(RunError::NotFinite)?;
        if let Some(key) = pass.missing {
            let message = format!("the graph has no {key} that could be replaced");
            return Err(RunError::Refused(message));
        }
        Ok(Followed {
            named: Vec::new(),
            rows,
            vocab_size: self.model.config().vocab_size,
            nodes: pass.nodes,
        })
    }
}

/// Follows a schedule in a session of its own; the rows of logits it keeps.
pub fn follow(
    model: &Model,
    profile: Profile,
    schedule: &Schedule,
    probe: &mut dyn Probe,
) -> Result<Vec<f32>, EvalError> {
    let options = SessionOptions {
        context: schedule.context(),
        ubatch: schedule.ubatch,
        threads: schedule.threads,
        profile,
    };
    let session = Session::new(model, options).map_err(EvalError::OutOfMemory)?;
    schedule.follow(&mut Probed { session, probe })
}

/// A session of the engine that a schedule can be followed on, and what looks at its passes.
pub(super) struct Probed<'a> {
    pub(super) session: Session,
    pub(super) probe: &'a mut dyn Probe,
}

impl schedule::Session for Probed<'_> {
    type Error = EvalError;

    fn feed(&mut self, tokens: &[Token], wanted: Wanted) -> Result<Vec<f32>, EvalError> {
        self.session.feed(tokens, wanted, self.probe)
    }

    fn truncate(&mut self, length: usize) -> Result<(), EvalError> {
        self.session.truncate(length);
        Ok(())
    }
}

impl Subject for Engine {
    fn observe_in(
        &mut self,
        task: Task<'_>,
        profile: &str,
    ) -> Option<Result<Observation, RunError>> {
        let profile = Profile::from_name(profile).filter(|_| self.follows)?;
        let mut other = Engine {
            profile,
            ..self.on_threads(self.threads)
        };
        Some(other.observe(task))
    }

    fn elsewhere(&self) -> Option<Box<dyn Subject + Send>> {
        Some(Box::new(self.on_threads(self.threads)))
    }

    fn texts(&mut self, task: Task<'_>, tokens: &[Token]) -> Vec<String> {
        let model = self.model(task.model).ok();
        let Some(tokenizer) = model.as_ref().and_then(|model| model.tokenizer()) else {
            return Vec::new();
        };
        let piece = |&token| String::from_utf8_lossy(&tokenizer.piece(token, true)).into_owned();
        tokens.iter().map(piece).collect()
    }

    fn facts(&mut self, task: Task<'_>) -> Result<Facts, RunError> {
        let kernel = self.kernel.name().to_owned();
        let model = self.model(task.model)?;
        let kernels = model.kernels(self.profile).into_iter();
        let multiplied_by = kernels.map(|(format, kernel)| (format.to_owned(), kernel));
        Ok(Facts {
            kernel,
            multiplied_by: multiplied_by.collect(),
            model: ModelFacts::of(&model, self.reading.is_forced()),
            lacking: Lacking::new(),
        })
    }
}

/// The ids of a text, special tokens added and recognised.
pub fn tokenize(model: &Model, text: &str) -> Result<Vec<Token>, RunError> {
    let tokenizer = model.tokenizer().ok_or_else(no_vocabulary)?;
    Ok(tokenizer.encode(text, true, true))
}

/// The text of ids, special tokens shown.
pub fn text(model: &Model, tokens: &[Token]) -> Result<String, RunError> {
    let tokenizer = model.tokenizer().ok_or_else(no_vocabulary)?;
    Ok(tokenizer.decode(tokens, true))
}

fn no_vocabulary() -> RunError {
    RunError::Refused("the model has no vocabulary, so a prompt means nothing to it".into())
}

fn refused(error: Refusal) -> RunError {
    RunError::Refused(error.to_string())
}

/// Why a pass of the engine has no answer.
fn stopped(error: EvalError) -> RunError {
    match error {
        EvalError::NotFinite { .. } => RunError::NotFinite(error.to_string()),
        EvalError::OutOfMemory(_) => RunError::Environment(error.to_string()),
        _ => RunError::Refused(error.to_string()),
    }
}
