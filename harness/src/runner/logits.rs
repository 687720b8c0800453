//! Whoever turns a model file and a schedule of tokens into logits: the engine, or anything else
//! that is to be examined without a second opinion.
#![forbid(unsafe_code)]

pub mod live;

use engine::kernels::Kernel;
use engine::numerics::Profile;
use engine::session::{EvalError, OpenOptions, SessionOptions, Wanted};
use engine::transformer::probe::Probe;
use engine::{Model, Session};

use crate::case::observation::{Identity, TracedNode};
use crate::case::schedule::{Schedule, Step};
use crate::runner::RunError;
use crate::runner::engine::Tracer;

/// Something that computes logits.
pub trait LogitSource {
    /// Who it is.
    fn identity(&self) -> Identity;

    /// Tokens it should be fed at most where it computes on several threads.
    fn most_on_threads(&self) -> usize {
        usize::MAX
    }

    /// Opens the file once and follows each schedule from an empty cache. One vector comes back
    /// for each: the rows of logits it keeps, in order.
    fn logits(&mut self, file: &[u8], schedules: &[Schedule]) -> Result<Vec<Vec<f32>>, RunError>;

    /// Every node that is computed on the way, in order; none where it shows none.
    fn nodes(&mut self, _file: &[u8], _way: &Schedule) -> Result<Vec<TracedNode>, RunError> {
        Ok(Vec::new())
    }
}

/// The engine of this repository.
#[derive(Debug, Clone, Copy)]
pub struct EngineSource {
    /// Its inner loops.
    pub kernel: Kernel,
    /// The order of its float operations.
    pub profile: Profile,
}

impl LogitSource for EngineSource {
    fn identity(&self) -> Identity {
        Identity {
            name: format!("engine {}", self.kernel.name()),
            profile: self.profile.name().into(),
            fingerprint: format!("engine {}", env!("CARGO_PKG_VERSION")),
        }
    }

    fn logits(&mut self, file: &[u8], schedules: &[Schedule]) -> Result<Vec<Vec<f32>>, RunError> {
        let model = self.open(file)?;
        let follow = |schedule| follow(&model, self.profile, schedule, &mut ());
        schedules.iter().map(follow).collect()
    }

    fn nodes(&mut self, file: &[u8], way: &Schedule) -> Result<Vec<TracedNode>, RunError> {
        let mut tracer = Tracer::default();
        follow(&self.open(file)?, self.profile, way, &mut tracer)?;
        Ok(tracer.nodes)
    }
}

impl EngineSource {
    fn open(&self, file: &[u8]) -> Result<Model, RunError> {
        let options = OpenOptions {
            kernel: Some(self.kernel),
            ..OpenOptions::default()
        };
        let model = Model::from_bytes(file.to_vec(), &options);
        model.map_err(|refusal| RunError::Refused(refusal.to_string()))
    }
}

fn follow(
    model: &Model,
    profile: Profile,
    schedule: &Schedule,
    probe: &mut dyn Probe,
) -> Result<Vec<f32>, RunError> {
    let options = SessionOptions {
        context: schedule.context(),
        ubatch: schedule.ubatch,
        threads: schedule.threads,
        profile,
    };
    let session = Session::new(model, options);
    let mut session = session.map_err(|refusal| RunError::Refused(refusal.to_string()))?;
    let mut logits = Vec::new();
    for step in &schedule.steps {
        let mut feed = |tokens, wanted| session.feed(tokens, wanted, probe).map_err(stopped);
        match step {
            Step::Feed(tokens) => logits.extend(feed(tokens, Wanted::All)?),
            Step::Last(tokens) => logits.extend(feed(tokens, Wanted::Last)?),
            Step::Distract(tokens) => drop(feed(tokens, Wanted::All)?),
            Step::Truncate(len) => session.truncate(*len),
        }
    }
    Ok(logits)
}

fn stopped(error: EvalError) -> RunError {
    match error {
        EvalError::NotFinite { .. } => RunError::NotFinite(error.to_string()),
        _ => RunError::Refused(error.to_string()),
    }
}
