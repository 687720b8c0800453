//! A C++ reference as a source of logits, in a process of its own for every question.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use crate::case::observation::{Identity, TracedNode};
use crate::case::schedule::Schedule;
use crate::reference::isolation::{Answer, Reply, Request};
use crate::reference::{Reference, Scratch};
use crate::runner::RunError;
use crate::runner::logits::LogitSource;

/// Threads of these libraries spin while they wait for each other at every node: where more of
/// them run than there are processors, a token takes a second. A few show as much as many.
const MOST_ON_THREADS: usize = 6;

/// A reference that follows schedules.
#[derive(Clone)]
pub struct ReferenceSource(pub Reference);

impl LogitSource for ReferenceSource {
    fn identity(&self) -> Identity {
        self.0.facts().identity()
    }

    fn most_on_threads(&self) -> usize {
        MOST_ON_THREADS
    }

    fn logits(&mut self, file: &[u8], schedules: &[Schedule]) -> Result<Vec<Vec<f32>>, RunError> {
        let mut rows = Vec::new();
        let schedules = schedules.to_vec();
        let request = |model| Request::Logits { model, schedules };
        self.ask(file, request, |reply, values| match reply {
            Reply::Rows => {
                rows.push(values);
                Ok(())
            }
            reply => Err(format!("{reply:?} is no part of an answer")),
        })?;
        Ok(rows)
    }

    fn nodes(&mut self, file: &[u8], way: &Schedule) -> Result<Vec<TracedNode>, RunError> {
        let mut nodes = Vec::new();
        let schedule = way.clone();
        let request = |model| Request::Nodes { model, schedule };
        self.ask(file, request, |reply, values| match reply {
            Reply::Node { key, shape } => {
                nodes.push(TracedNode::checked(key, shape, values)?);
                Ok(())
            }
            reply => Err(format!("{reply:?} is no part of an answer")),
        })?;
        Ok(nodes)
    }
}

impl ReferenceSource {
    /// Asks about a model file; `take` is handed everything that comes before the last word.
    fn ask(
        &self,
        file: &[u8],
        request: impl FnOnce(PathBuf) -> Request,
        mut take: impl FnMut(Reply, Vec<f32>) -> Result<(), String>,
    ) -> Result<(), RunError> {
        let scratch = Scratch::write(file).map_err(|e| RunError::Refused(e.to_string()))?;
        let mut worker = self.0.worker()?;
        let request = request(scratch.path.clone());
        let done = worker.ask(&request, &[], |reply, values| match reply {
            Reply::Answer(Answer::Followed { model_sha256 }) => {
                let (theirs, ours) = (model_sha256, &scratch.sha256);
                match theirs == *ours {
                    true => Ok(Some(())),
                    false => Err(format!("it answers for model {theirs}, not {ours}")),
                }
            }
            reply => take(reply, values).map(|()| None),
        });
        Ok(done?)
    }
}
