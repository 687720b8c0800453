//! Whoever turns a model file and a schedule of tokens into logits: the engine, or anything else
//! that is to be examined without a second opinion.
#![forbid(unsafe_code)]

use engine::kernels::Kernel;
use engine::numerics::Profile;
use engine::session::{EvalError, OpenOptions, SessionOptions, Wanted};
use engine::{Model, Session, Token};

use crate::observation::Identity;
use crate::runner::RunError;

/// Something that computes logits.
pub trait LogitSource {
    /// Who it is.
    fn identity(&self) -> Identity;

    /// Opens the file once and follows each schedule from an empty cache. One vector comes back
    /// for each: a row of logits for every token of every [`Step::Feed`], in order.
    fn logits(&mut self, file: &[u8], schedules: &[Schedule]) -> Result<Vec<Vec<f32>>, RunError>;
}

/// In which portions tokens reach the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Tokens computed together at most.
    pub ubatch: usize,
    /// Threads that compute.
    pub threads: usize,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// One step of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Feeds tokens and keeps the logits of each.
    Feed(Vec<Token>),
    /// Feeds tokens and forgets their logits, but not what they leave in the cache.
    Distract(Vec<Token>),
    /// Forgets every position from this one on.
    Truncate(usize),
}

impl Schedule {
    /// On one thread, in portions as large as they come.
    pub fn of(steps: Vec<Step>) -> Self {
        Schedule {
            ubatch: 512,
            threads: 1,
            steps,
        }
    }

    /// Positions the cache must hold.
    pub fn context(&self) -> usize {
        let (mut used, mut most) = (0, 1);
        for step in &self.steps {
            match step {
                Step::Feed(tokens) | Step::Distract(tokens) => used += tokens.len(),
                Step::Truncate(len) => used = used.min(*len),
            }
            most = most.max(used);
        }
        most
    }

    /// Tokens whose logits are kept.
    pub fn kept(&self) -> usize {
        let kept = self.steps.iter().map(|step| match step {
            Step::Feed(tokens) => tokens.len(),
            _ => 0,
        });
        kept.sum()
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
        let options = OpenOptions {
            kernel: Some(self.kernel),
            ..OpenOptions::default()
        };
        let model = Model::from_bytes(file.to_vec(), &options);
        let model = model.map_err(|refusal| RunError::Refused(refusal.to_string()))?;
        let follow = |schedule| follow(&model, self.profile, schedule);
        schedules.iter().map(follow).collect()
    }
}

fn follow(model: &Model, profile: Profile, schedule: &Schedule) -> Result<Vec<f32>, RunError> {
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
        match step {
            Step::Feed(tokens) => {
                logits.extend(
                    session
                        .feed(tokens, Wanted::All, &mut ())
                        .map_err(stopped)?,
                );
            }
            Step::Distract(tokens) => {
                session
                    .feed(tokens, Wanted::All, &mut ())
                    .map_err(stopped)?;
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_knows_the_room_it_needs_and_the_rows_it_keeps() {
        let schedule = Schedule::of(vec![
            Step::Feed(vec![1; 5]),
            Step::Distract(vec![2; 9]),
            Step::Truncate(5),
            Step::Feed(vec![3; 4]),
        ]);
        assert_eq!((schedule.context(), schedule.kept()), (14, 9));
    }
}
