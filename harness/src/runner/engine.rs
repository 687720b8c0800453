//! The engine of this repository behind the runner's trait.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Deref;
use std::rc::Rc;

use engine::bytes::Storage;
use engine::flavor::Flavor;
use engine::kernels::Kernel;
use engine::numerics::Profile;
use engine::refusal::Refusal;
use engine::session::{EvalError, OpenOptions, SessionOptions, Wanted};
use engine::transformer::probe::Probe;
use engine::{Model, Session, Token};

use super::observe::observe_tokens;
use super::perturb::{Perturb, Plant, undisturbed};
use super::watch::{Watch, Watching};
use super::{Facts, Followed, ModelFile, Opened, RunError, Runner, Subject, Task};
use crate::case::Case;
use crate::case::observation::{Identity, Observation};
use crate::case::schedule::{self, Schedule};
use crate::file::provenance::Input;

/// The engine with one kernel and one number of threads.
pub struct Engine {
    kernel: Kernel,
    threads: usize,
    flavor: Option<Flavor>,
    profile: Profile,
    /// Whether it can be asked for another arithmetic.
    follows: bool,
    last: Last,
}

/// The model last looked at, and the hash that names it; shared by engines that differ only in
/// what a model does not depend on.
type Last = Rc<RefCell<Option<(String, Rc<Model>)>>>;

impl Engine {
    /// An engine that has opened nothing yet.
    pub fn new(kernel: Kernel, threads: usize) -> Self {
        Engine {
            kernel,
            threads,
            flavor: None,
            profile: Profile::default(),
            follows: true,
            last: Last::default(),
        }
    }

    /// With a packing of the two-bit weights, where the bytes allow several.
    pub fn with_flavor(self, flavor: Option<Flavor>) -> Self {
        Engine { flavor, ..self }
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
            last: Rc::clone(&self.last),
            ..*self
        }
    }

    /// The ids of the case's prompt, special tokens added and recognised.
    pub fn tokenize(&self, task: Task<'_>) -> Result<Vec<Token>, RunError> {
        encode(&*self.model(task.model)?, task.case)
    }

    /// A model, opened once as long as it stays the same.
    pub fn model(&self, input: &Input) -> Result<Rc<Model>, RunError> {
        let sha256 = &input.sha256;
        let mut last = self.last.borrow_mut();
        match &*last {
            Some((name, model)) if name == sha256 => return Ok(Rc::clone(model)),
            // Forgotten before the next one is opened, so that only one is in memory.
            _ => *last = None,
        }
        let model = open(input, self.flavor, Some(self.kernel)).map_err(refused)?;
        let model = Rc::new(model);
        *last = Some((sha256.clone(), Rc::clone(&model)));
        Ok(model)
    }
}

/// The engine's view of a model file, which it reads a second time: what it read must be what was
/// hashed.
pub fn open(
    input: &Input,
    flavor: Option<Flavor>,
    kernel: Option<Kernel>,
) -> Result<Model, Refusal> {
    let model = Model::open(&input.path, &options(flavor, kernel))?;
    input.is_stamped(&model.stamp())?;
    Ok(model)
}

fn options(flavor: Option<Flavor>, kernel: Option<Kernel>) -> OpenOptions {
    OpenOptions {
        storage: Storage::Read,
        flavor,
        kernel,
    }
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
                let options = options(self.flavor, Some(self.kernel));
                let model = Model::from_bytes(file.to_vec(), &options);
                Rc::new(model.map_err(refused)?)
            }
        };
        Ok(Box::new(Computing {
            model,
            profile: self.profile,
            plant: &undisturbed,
        }))
    }

    fn observe(&mut self, task: Task<'_>) -> Result<Observation, RunError> {
        let (identity, threads) = (self.identity(), self.threads);
        let mut opened = self.open(ModelFile::Read(task.model))?;
        super::observe::observe(&mut *opened, identity, task.case, threads)
    }
}

/// A model in the engine, and what disturbs its passes.
struct Computing<'a, 'm, M> {
    model: M,
    profile: Profile,
    plant: &'a Plant<'m>,
}

impl<M: Deref<Target = Model>> Opened for Computing<'_, '_, M> {
    fn tokenize(&mut self, text: &str) -> Result<Vec<Token>, RunError> {
        tokenize(&self.model, text)
    }

    fn text(&mut self, tokens: &[Token]) -> Result<String, RunError> {
        text(&self.model, tokens)
    }

    fn follow(&mut self, schedule: &Schedule, watch: &Watch<'_>) -> Result<Followed, RunError> {
        let mut probe = Perturb::new((self.plant)(), Watching::new(watch));
        let rows = follow(&self.model, self.profile, schedule, &mut probe);
        let (rows, watching) = (rows.map_err(stopped)?, probe.probe);
        if let Some(key) = watching.missing() {
            let message = format!("the graph has no {key} that could be replaced");
            return Err(RunError::Refused(message));
        }
        Ok(Followed {
            rows,
            vocab_size: self.model.config().vocab_size,
            nodes: watching.nodes,
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
    pub(super) session: Session<'a>,
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

/// Under which name an observation is made, and how.
pub struct RunConfig {
    /// The name it carries.
    pub identity: Identity,
    /// Threads.
    pub threads: usize,
    /// The order of float operations.
    pub profile: Profile,
}

impl RunConfig {
    /// A run that no receipt will name.
    pub fn new(name: String, fingerprint: &str, threads: usize, profile: Profile) -> Self {
        let identity = Identity {
            name,
            profile: profile.name().into(),
            fingerprint: fingerprint.into(),
        };
        RunConfig {
            identity,
            threads,
            profile,
        }
    }
}

/// Observes a case whose prompt is `tokens`, one lane after the other, each disturbed anew.
pub fn observe<'m>(
    model: &Model,
    case: &Case,
    tokens: Vec<Token>,
    run: RunConfig,
    plant: &Plant<'m>,
) -> Result<Observation, RunError> {
    let mut opened = Computing {
        model,
        profile: run.profile,
        plant,
    };
    observe_tokens(&mut opened, run.identity, case, tokens, run.threads)
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

    fn facts(&mut self, task: Task<'_>) -> Result<Facts, RunError> {
        let kernel = self.kernel.name().to_owned();
        let model = self.model(task.model)?;
        let flavors = model.detections().iter().map(|(_, d)| d.flavor);
        let flavors: BTreeSet<Flavor> = flavors.collect();
        let (format, flavor) = match flavors.first() {
            None => ("dense", "dense".into()),
            Some(first) if first.is_i2_s() => ("I2_S", join(&flavors)),
            Some(Flavor::Qk256) => ("I2S_QK256", join(&flavors)),
            Some(_) => ("ternary", join(&flavors)),
        };
        let kernels = model.kernels(self.profile).into_iter();
        let multiplied_by = kernels.map(|(format, kernel)| (format.to_owned(), kernel));
        Ok(Facts {
            kernel,
            multiplied_by: multiplied_by.collect(),
            forced: self.flavor.is_some(),
            architecture: model.config().architecture.name().into(),
            format: format.into(),
            flavor,
        })
    }
}

/// The ids of the case's prompt, special tokens added and recognised.
pub fn encode(model: &Model, case: &Case) -> Result<Vec<Token>, RunError> {
    tokenize(model, &case.prompt)
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
pub fn stopped(error: EvalError) -> RunError {
    match error {
        EvalError::NotFinite { .. } => RunError::NotFinite(error.to_string()),
        _ => RunError::Refused(error.to_string()),
    }
}

fn join(flavors: &BTreeSet<Flavor>) -> String {
    let names: Vec<_> = flavors.iter().map(|f| f.name()).collect();
    names.join("+")
}
