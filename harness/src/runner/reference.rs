//! A C++ reference that computes now, in a process of its own for every case.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use engine::gguf::Gguf;

use super::{RunError, Runner, Task};
use crate::document::Document;
use crate::isolation::{Answer, Ended, Observed, Reply, Request};
use crate::observation::{Greedy, Identity, Lane, Logits, Observation, TracedNode};
use crate::provenance::{self, Input};
use crate::reference::Reference;

/// A reference that looks at cases, in a process of its own for each.
#[derive(Clone)]
pub struct Observing {
    reference: Reference,
    name: String,
    threads: usize,
}

impl Observing {
    /// On one thread.
    pub fn new(reference: Reference) -> Self {
        Observing {
            name: reference.facts().name.clone(),
            reference,
            threads: 1,
        }
    }

    /// The same reference, to be compared with itself: under another name and with as many threads.
    pub fn again(&self, threads: usize) -> Self {
        let plural = if threads == 1 { "" } else { "s" };
        Observing {
            name: format!("{} again, {threads} thread{plural}", self.name),
            threads,
            ..self.clone()
        }
    }

    /// For a library that does not know I2_S, the same model with those weights as F32: it then
    /// multiplies with activations that were never rounded to eight bits, which is why its
    /// arithmetic has a name of its own.
    fn widened(&self, task: Task<'_>) -> Result<Option<Widened>, RunError> {
        if self.reference.hello().knows_i2_s {
            return Ok(None);
        }
        let refused = |e: &dyn std::fmt::Display| RunError::Refused(e.to_string());
        let (_, bytes) = Input::read(&task.model.path).map_err(|e| refused(&e))?;
        let gguf = Gguf::parse(bytes).map_err(|e| refused(&e))?;
        let mut document = Document::read(&gguf).map_err(|e| refused(&e))?;
        if document.widen().map_err(|e| refused(&e))? == 0 {
            return Ok(None);
        }
        Widened::write(&document.file())
            .map(Some)
            .map_err(|e| refused(&e))
    }
}

impl Runner for Observing {
    fn identity(&self) -> Identity {
        Identity {
            name: self.name.clone(),
            ..self.reference.facts().identity()
        }
    }

    fn is_live(&self) -> bool {
        true
    }

    fn shows_nodes(&self) -> bool {
        self.reference.hello().knows_i2_s
    }

    /// The same again, always; with two threads on one case of a fixture only, because threads of
    /// these libraries spin while they wait: where the machine is busy, two of them can take a
    /// hundred times as long as one.
    fn controls(&self, task: Task<'_>) -> Vec<Box<dyn Runner>> {
        let one_of_many = task.case.nodes == 0 && !task.case.recordings.is_empty();
        let threads = if one_of_many { &[1][..] } else { &[1, 2] };
        let again = threads
            .iter()
            .map(|&n| Box::new(self.again(n)) as Box<dyn Runner>);
        again.collect()
    }

    fn observe(&mut self, task: Task<'_>) -> Result<Observation, RunError> {
        let mut worker = self.reference.worker()?;
        let mut case = task.case.clone();
        let widened = self.widened(task)?;
        let (model, sha256) = match &widened {
            None => (task.model.path.clone(), task.model.sha256.clone()),
            Some(file) => {
                case.nodes = 0;
                (file.path.clone(), file.sha256.clone())
            }
        };
        let request = Request::Observe {
            case,
            model,
            threads: self.threads,
        };
        let mut seen = Seen::default();
        let take = |reply, values| seen.take(reply, values, &sha256);
        let answer = worker.ask(&request, &[], take)?;
        Ok(seen.observation(self.identity(), answer))
    }
}

impl From<Ended> for RunError {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Refused(message) => RunError::Declined(format!("reference_refused: {message}")),
            Ended::Died(death) => RunError::Lost(death),
        }
    }
}

/// A model file that is gone when it is dropped.
struct Widened {
    path: PathBuf,
    sha256: String,
}

impl Widened {
    fn write(bytes: &[u8]) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("harness-widened-{}-{number}.gguf", std::process::id());
        let widened = Widened {
            path: std::env::temp_dir().join(name),
            sha256: provenance::sha256(bytes),
        };
        std::fs::write(&widened.path, bytes)?;
        Ok(widened)
    }
}

impl Drop for Widened {
    fn drop(&mut self) {
        // What cannot be removed is the temporary folder's problem.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// What has arrived of an answer.
#[derive(Default)]
struct Seen {
    lanes: BTreeMap<Lane, (Vec<usize>, Vec<f32>)>,
    trace: Vec<TracedNode>,
}

impl Seen {
    /// Takes a reply if it makes sense at this point.
    fn take(
        &mut self,
        reply: Reply,
        values: Vec<f32>,
        model: &str,
    ) -> Result<Option<Observed>, String> {
        match reply {
            Reply::Logits { lane, positions } => {
                if !positions.is_sorted_by(|a, b| a < b) {
                    return Err(format!("positions {positions:?} of {}", lane.name()));
                }
                match self.lanes.insert(lane, (positions, values)) {
                    None => Ok(None),
                    Some(_) => Err(format!("{} came twice", lane.name())),
                }
            }
            Reply::Node { key, shape } => {
                let size = shape
                    .iter()
                    .try_fold(1, |size: usize, n| size.checked_mul(*n));
                if size != Some(values.len()) {
                    let count = values.len();
                    return Err(format!("node {key} of shape {shape:?} has {count} values"));
                }
                self.trace.push(TracedNode { key, shape, values });
                Ok(None)
            }
            Reply::Answer(Answer::Observed(observed)) => {
                self.is_whole(&observed, model).map(|()| Some(observed))
            }
            Reply::Answer(_) | Reply::Hello(_) | Reply::Phase { .. } | Reply::Refused { .. } => {
                Err(format!("{reply:?} is no part of an answer"))
            }
        }
    }

    fn is_whole(&self, answer: &Observed, model: &str) -> Result<(), String> {
        let theirs = &answer.model_sha256;
        if theirs != model {
            return Err(format!(
                "it answers for a model with sha256 {theirs}, not {model}"
            ));
        }
        for lane in Lane::ALL {
            let name = lane.name();
            let (positions, values) = self.lanes.get(&lane).ok_or(format!("{name} is missing"))?;
            let beyond = positions.last().is_some_and(|&p| p >= answer.tokens.len());
            if beyond || positions.len() * answer.vocab_size != values.len() {
                let (rows, count) = (positions.len(), values.len());
                return Err(format!("{name} has {count} numbers in {rows} rows"));
            }
        }
        Ok(())
    }

    fn observation(self, identity: Identity, answer: Observed) -> Observation {
        let lanes = self.lanes.into_iter().map(|(lane, (positions, values))| {
            let vocab_size = answer.vocab_size;
            let logits = Logits {
                positions,
                values,
                vocab_size,
            };
            (lane, logits)
        });
        Observation {
            identity,
            lanes: lanes.collect(),
            tokens: answer.tokens,
            greedy: Greedy {
                tokens: answer.greedy,
                text: answer.greedy_text,
                logits: Vec::new(),
            },
            trace: self.trace,
        }
    }
}
