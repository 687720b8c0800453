//! The run of a reference that computes now: one process for all modules of a prompt.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use engine::Token;

use super::run::{Run, Whose};
use crate::case::observation::TracedNode;
use crate::exit::{Exit, Failure};
use crate::file::provenance::Input;
use crate::reference::Reference;
use crate::reference::isolation::{Answer, Reply, Request, Worker};
use crate::runner::RunError;

/// One prefill, asked for.
pub struct Prefill<'a> {
    /// The model.
    pub model: &'a Input,
    /// The prompt.
    pub tokens: &'a [Token],
    /// Positions the cache holds.
    pub context: usize,
    /// Tokens computed together at most.
    pub ubatch: usize,
    /// Threads to compute with.
    pub threads: usize,
}

/// A reference in a process of its own, which keeps the model loaded.
pub struct ReferenceRun<'a> {
    worker: Worker,
    prefill: Prefill<'a>,
    outputs: Vec<String>,
    alone: Vec<f32>,
}

/// What came back.
#[derive(Default)]
struct Seen {
    nodes: Vec<TracedNode>,
    logits: Option<Vec<f32>>,
}

impl<'a> ReferenceRun<'a> {
    /// The reference on its own, with nobody looking.
    pub fn start(reference: &Reference, prefill: Prefill<'a>) -> Result<Self, RunError> {
        let mut run = ReferenceRun {
            worker: reference.worker()?,
            prefill,
            outputs: Vec::new(),
            alone: Vec::new(),
        };
        run.alone = run.ask(&[], None)?.1;
        Ok(run)
    }

    /// Its nodes of these keys, as far as it has them. Looking must change nothing.
    pub fn shown(&mut self, keys: &[String]) -> Result<Vec<TracedNode>, Failure> {
        let (nodes, logits) = self.ask(keys, None).map_err(lost)?;
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        if bits(&logits) != bits(&self.alone) {
            return Err(Failure::new(
                Exit::Incomplete,
                "UNSTEADY: observing the reference changed its logits",
            ));
        }
        Ok(nodes)
    }

    /// From now on modules are numbered as these are.
    pub fn with_outputs(self, outputs: Vec<String>) -> Self {
        ReferenceRun { outputs, ..self }
    }

    fn ask(
        &mut self,
        shown: &[String],
        replaced: Option<(&str, &[f32])>,
    ) -> Result<(Vec<TracedNode>, Vec<f32>), RunError> {
        let Prefill {
            model,
            tokens,
            context,
            ubatch,
            threads,
        } = self.prefill;
        let request = Request::Swap {
            model: PathBuf::clone(&model.path),
            tokens: tokens.to_vec(),
            context,
            ubatch,
            threads,
            shown: shown.to_vec(),
            replaced: replaced.map(|(key, _)| key.to_owned()),
        };
        let values = replaced.map_or(&[][..], |(_, values)| values);
        let mut seen = Seen::default();
        let take = |reply, values| seen.take(reply, values, &model.sha256, tokens.len());
        self.worker.ask(&request, values, take)?;
        let logits = seen.logits.expect("no answer is taken before them");
        Ok((seen.nodes, logits))
    }
}

impl Seen {
    /// Takes a reply if it makes sense at this point.
    fn take(
        &mut self,
        reply: Reply,
        values: Vec<f32>,
        model: &str,
        tokens: usize,
    ) -> Result<Option<()>, String> {
        match reply {
            Reply::Node { key, shape } => {
                self.nodes.push(TracedNode::checked(key, shape, values)?);
                Ok(None)
            }
            Reply::Logits { positions, .. } if self.logits.is_none() => {
                if !positions.iter().copied().eq(0..tokens) {
                    return Err(format!("logits at {positions:?} of {tokens} tokens"));
                }
                self.logits = Some(values);
                Ok(None)
            }
            Reply::Answer(Answer::Swapped {
                model_sha256,
                vocab_size,
            }) => {
                let rows = self.logits.as_ref().map_or(0, Vec::len);
                match model_sha256 == model && Some(rows) == vocab_size.checked_mul(tokens) {
                    true => Ok(Some(())),
                    false => Err(format!(
                        "{rows} logits of {tokens} tokens and {vocab_size} entries, for the \
                         model {model_sha256}, where {model} was asked about"
                    )),
                }
            }
            other => Err(format!("{other:?} is no part of an answer")),
        }
    }
}

impl Run for ReferenceRun<'_> {
    fn whose(&self) -> Whose {
        Whose::Reference
    }

    fn alone(&mut self, _: usize) -> Result<Vec<f32>, Failure> {
        Ok(self.alone.clone())
    }

    fn given(&mut self, module: usize, values: &[f32]) -> Result<Vec<f32>, Failure> {
        let key = self.outputs[module].clone();
        let (_, logits) = self.ask(&[], Some((&key, values))).map_err(lost)?;
        Ok(logits)
    }
}

/// It took part before, so its silence now is a gap.
fn lost(error: RunError) -> Failure {
    let exit = match error {
        RunError::Declined(_) => Exit::Incomplete,
        _ => Exit::ReferenceDied,
    };
    let message = error.to_string();
    Failure::new(exit, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::observation::Lane;

    fn logits(positions: usize) -> Reply {
        Reply::Logits {
            lane: Lane::Prefill,
            positions: (0..positions).collect(),
        }
    }

    fn swapped(model: &str, vocab_size: usize) -> Reply {
        Reply::Answer(Answer::Swapped {
            model_sha256: model.into(),
            vocab_size,
        })
    }

    /// What becomes of two replies about two tokens and a model called `m`.
    fn taken(first: (Reply, usize), last: Reply) -> Result<Option<()>, String> {
        let mut seen = Seen::default();
        let (reply, values) = first;
        seen.take(reply, vec![0.0; values], "m", 2)?;
        seen.take(last, Vec::new(), "m", 2)
    }

    #[test]
    fn an_answer_is_taken_only_when_it_is_whole_and_about_this_model() {
        assert_eq!(taken((logits(2), 6), swapped("m", 3)), Ok(Some(())));
        assert!(taken((logits(2), 6), swapped("other", 3)).is_err());
        assert!(taken((logits(2), 6), swapped("m", 4)).is_err());
        assert!(taken((logits(2), 6), logits(2)).is_err(), "twice");
        assert!(taken((logits(1), 3), swapped("m", 3)).is_err(), "too few");
        let node = |shape: Vec<usize>| Reply::Node {
            key: "kq-0|MUL_MAT#0".into(),
            shape,
        };
        assert!(
            taken((node(vec![2, 3]), 6), swapped("m", 3)).is_err(),
            "no logits"
        );
        assert!(
            taken((node(vec![2, 4]), 6), logits(2)).is_err(),
            "no such shape"
        );
        assert!(taken((node(vec![usize::MAX, 2]), 6), logits(2)).is_err());
    }
}
