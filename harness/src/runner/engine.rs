//! The engine of this repository behind the runner's trait.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use engine::bytes::Storage;
use engine::flavor::Flavor;
use engine::kernels::Kernel;
use engine::numerics::Profile;
use engine::refusal::Refusal;
use engine::sampler::greedy;
use engine::session::{EvalError, OpenOptions, SessionOptions, Wanted};
use engine::transformer::probe::{Node, Probe};
use engine::{Model, Session, Token};

use super::multiplied::multiplied_by;
use super::perturb::{Perturb, Plant, undisturbed};
use super::{Facts, RunError, Runner, Subject, Task};
use crate::case::Case;
use crate::case::observation::{
    Greedy, Identity, Lane, Logits, Observation, Occurrences, TracedNode,
};
use crate::file::provenance::Input;

/// The engine with one kernel and one number of threads.
pub struct Engine {
    kernel: Kernel,
    threads: usize,
    flavor: Option<Flavor>,
    profile: Profile,
    /// Whether it can be asked for another arithmetic.
    follows: bool,
    opened: Opened,
}

/// The model last looked at, and the hash that names it; shared by engines that differ only in
/// what a model does not depend on.
type Opened = Rc<RefCell<Option<(String, Rc<Model>)>>>;

impl Engine {
    /// An engine that has opened nothing yet.
    pub fn new(kernel: Kernel, threads: usize) -> Self {
        Engine {
            kernel,
            threads,
            flavor: None,
            profile: Profile::default(),
            follows: true,
            opened: Opened::default(),
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
            opened: Rc::clone(&self.opened),
            ..*self
        }
    }

    /// The ids of the case's prompt, special tokens added and recognised.
    pub fn tokenize(&self, task: Task<'_>) -> Result<Vec<Token>, RunError> {
        encode(&*self.open(task)?, task.case)
    }

    /// The model of the task, opened once as long as it stays the same.
    pub fn open(&self, task: Task<'_>) -> Result<Rc<Model>, RunError> {
        let sha256 = &task.model.sha256;
        let mut opened = self.opened.borrow_mut();
        match &*opened {
            Some((name, model)) if name == sha256 => return Ok(Rc::clone(model)),
            // Forgotten before the next one is opened, so that only one is in memory.
            _ => *opened = None,
        }
        let model = open(task.model, self.flavor, Some(self.kernel));
        let model = model.map_err(|refusal| RunError::Refused(refusal.to_string()))?;
        let model = Rc::new(model);
        *opened = Some((sha256.clone(), Rc::clone(&model)));
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
    let options = OpenOptions {
        storage: Storage::Read,
        flavor,
        kernel,
    };
    let model = Model::open(&input.path, &options)?;
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

    fn is_live(&self) -> bool {
        true
    }

    fn observe(&mut self, task: Task<'_>) -> Result<Observation, RunError> {
        let identity = self.identity();
        let model = self.open(task)?;
        let model = &*model;
        let case = task.case;
        let tokens = encode(model, case)?;
        let run = RunConfig {
            identity,
            threads: self.threads,
            profile: self.profile,
        };
        observe(model, case, tokens, run, &undisturbed)
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
    let options = SessionOptions {
        context: case.context,
        ubatch: case.ubatch,
        threads: run.threads,
        profile: run.profile,
    };
    let mut pass = Pass {
        vocab_size: model.config().vocab_size,
        session: Session::new(model, options).map_err(|e| RunError::Refused(e.to_string()))?,
        tokens: &tokens,
        case,
    };
    let mut tracer = Perturb::new(plant(), Tracer::default());
    let prefill = if case.nodes > 0 {
        pass.prefill(&mut tracer)?
    } else {
        pass.prefill(&mut Perturb::new(plant(), ()))?
    };
    let decode = pass.decode(&mut Perturb::new(plant(), ()))?;
    let greedy = pass.greedy(model, &mut Perturb::new(plant(), ()))?;
    Ok(Observation {
        identity: run.identity,
        lanes: BTreeMap::from([(Lane::Prefill, prefill), (Lane::Decode, decode)]),
        greedy,
        trace: tracer.probe.nodes,
        tokens,
    })
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
        let model = self.open(task)?;
        let flavors = model.detections().iter().map(|(_, d)| d.flavor);
        let flavors: BTreeSet<Flavor> = flavors.collect();
        let (format, flavor) = match flavors.first() {
            None => ("dense", "dense".into()),
            Some(first) if first.is_i2_s() => ("I2_S", join(&flavors)),
            Some(Flavor::Qk256) => ("I2S_QK256", join(&flavors)),
            Some(_) => ("ternary", join(&flavors)),
        };
        Ok(Facts {
            kernel,
            multiplied_by: multiplied_by(&model, self.profile),
            forced: self.flavor.is_some(),
            architecture: model.config().architecture.name().into(),
            format: format.into(),
            flavor,
        })
    }
}

/// One session, used for one lane after the other.
struct Pass<'a> {
    session: Session<'a>,
    tokens: &'a [Token],
    case: &'a Case,
    vocab_size: usize,
}

impl Pass<'_> {
    fn prefill(&mut self, probe: &mut dyn Probe) -> Result<Logits, RunError> {
        self.session.truncate(0);
        let all = self.session.feed(self.tokens, Wanted::All, probe);
        let all = all.map_err(stopped)?;
        let row = |position: usize| all.chunks_exact(self.vocab_size).nth(position);
        Ok(self.rows(|position| row(position).map(<[f32]>::to_vec)))
    }

    fn decode(&mut self, probe: &mut dyn Probe) -> Result<Logits, RunError> {
        self.session.truncate(0);
        let mut kept = BTreeMap::new();
        for (position, token) in self.tokens.iter().enumerate() {
            let row = self.session.feed(&[*token], Wanted::Last, probe);
            let row = row.map_err(stopped)?;
            if self.case.positions.binary_search(&position).is_ok() {
                kept.insert(position, row);
            }
        }
        Ok(self.rows(|position| kept.remove(&position)))
    }

    fn greedy(&mut self, model: &Model, probe: &mut dyn Probe) -> Result<Greedy, RunError> {
        self.session.truncate(0);
        let mut found = Greedy::default();
        let mut next = self.tokens.to_vec();
        while found.tokens.len() < self.case.greedy_steps {
            let row = self.session.feed(&next, Wanted::Last, probe);
            let row = row.map_err(stopped)?;
            next = vec![greedy(&row)];
            found.tokens.extend(&next);
            found.logits.push(row);
        }
        let tokenizer = model.tokenizer().ok_or_else(no_vocabulary)?;
        found.text = tokenizer.decode(&found.tokens, true);
        Ok(found)
    }

    /// The rows of the positions the case asks for, as far as they were computed.
    fn rows(&self, mut row: impl FnMut(usize) -> Option<Vec<f32>>) -> Logits {
        let asked = self.case.positions.iter();
        let rows: Vec<_> = asked.filter_map(|&p| Some((p, row(p)?))).collect();
        Logits {
            positions: rows.iter().map(|(position, _)| *position).collect(),
            values: rows.into_iter().flat_map(|(_, row)| row).collect(),
            vocab_size: self.vocab_size,
        }
    }
}

/// Keeps a copy of every node.
#[derive(Default)]
pub struct Tracer {
    occurrences: Occurrences,
    /// In the order they were computed.
    pub nodes: Vec<TracedNode>,
}

impl Probe for Tracer {
    fn at(&mut self, node: Node, shape: &[usize], values: &mut [f32]) {
        self.nodes.push(TracedNode {
            key: self.occurrences.count(node).to_string(),
            shape: shape.to_vec(),
            values: values.to_vec(),
        });
    }
}

/// The ids of the case's prompt, special tokens added and recognised.
pub fn encode(model: &Model, case: &Case) -> Result<Vec<Token>, RunError> {
    let tokenizer = model.tokenizer().ok_or_else(no_vocabulary)?;
    Ok(tokenizer.encode(&case.prompt, true, true))
}

fn no_vocabulary() -> RunError {
    RunError::Refused("the model has no vocabulary, so a prompt means nothing to it".into())
}

fn stopped(error: EvalError) -> RunError {
    match error {
        EvalError::NotFinite { .. } => RunError::NotFinite(error.to_string()),
        _ => RunError::Refused(error.to_string()),
    }
}

fn join(flavors: &BTreeSet<Flavor>) -> String {
    let names: Vec<_> = flavors.iter().map(|f| f.name()).collect();
    names.join("+")
}
