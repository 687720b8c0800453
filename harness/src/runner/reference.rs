//! A C++ reference that computes now, in a process of its own for every case.
#![forbid(unsafe_code)]

pub mod rewritten;

use std::collections::BTreeMap;

use self::rewritten::Form;
use super::{RunError, Runner, Task};
use crate::case::observation::{Greedy, Identity, Lane, Logits, Observation, TracedNode};
use crate::reference::Reference;
use crate::reference::isolation::{Answer, Ended, Observed, Reply, Request};

/// A reference that looks at cases, in a process of its own for each.
#[derive(Clone)]
pub struct Observing {
    reference: Reference,
    name: String,
    /// As many as the case says, if none.
    threads: Option<usize>,
    /// What two-bit weights become before the library sees them.
    form: Option<Form>,
}

impl Observing {
    /// On the weights as they are or, for a library that does not know I2_S, the same as F32.
    pub fn new(reference: Reference) -> Self {
        let foreign = !reference.hello().knows_i2_s;
        Observing {
            name: reference.facts().name.clone(),
            reference,
            threads: None,
            form: foreign.then_some(Form::Wide),
        }
    }

    /// On weights that the library turned into IQ2_BN itself, if it is one that can.
    pub fn requantized(reference: Reference) -> Option<Self> {
        let able = reference.facts().writes_iq2_bn();
        let form = Form::Iq2Bn;
        able.then(|| Observing {
            name: format!("{}-{}", reference.facts().name, form.name()),
            form: Some(form),
            ..Self::new(reference)
        })
    }

    /// The same reference, to be compared with itself: under another name and with as many threads.
    pub fn again(&self, threads: usize) -> Self {
        let plural = if threads == 1 { "" } else { "s" };
        Observing {
            name: format!("{} again, {threads} thread{plural}", self.name),
            threads: Some(threads),
            ..self.clone()
        }
    }
}

impl Runner for Observing {
    fn identity(&self) -> Identity {
        let facts = self.reference.facts();
        let form = self.form.map(|form| format!("-{}", form.name()));
        Identity {
            name: self.name.clone(),
            profile: facts.arithmetic() + &form.unwrap_or_default(),
            fingerprint: facts.fingerprint(),
        }
    }

    fn is_live(&self) -> bool {
        true
    }

    fn shows_nodes(&self) -> bool {
        self.form.is_none()
    }

    /// On one thread, always; on two as well, for one case of a fixture, because threads of these
    /// libraries spin while they wait: where the machine is busy, two of them can take a hundred
    /// times as long as one. A case that is computed on two has had that.
    fn controls(&self, task: Task<'_>) -> Vec<Box<dyn Runner>> {
        let case = task.case;
        let one_of_many = case.nodes == 0 && !case.is_ad_hoc();
        let threads = match case.threads > 1 || one_of_many {
            true => &[1][..],
            false => &[1, 2],
        };
        let again = threads
            .iter()
            .map(|&n| Box::new(self.again(n)) as Box<dyn Runner>);
        again.collect()
    }

    fn observe(&mut self, task: Task<'_>) -> Result<Observation, RunError> {
        let mut case = task.case.clone();
        let rewritten = self.rewritten(task)?;
        let (model, sha256) = match &rewritten {
            None => (task.model.path.clone(), task.model.sha256.clone()),
            Some(file) => {
                case.nodes = 0;
                (file.path.clone(), file.sha256.clone())
            }
        };
        let request = Request::Observe {
            threads: self.threads.unwrap_or(case.threads),
            case,
            model,
        };
        let mut seen = Seen::default();
        let take = |reply, values| seen.take(reply, values, &sha256);
        let answer = self.reference.worker()?.ask(&request, &[], take)?;
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
                self.trace.push(TracedNode::checked(key, shape, values)?);
                Ok(None)
            }
            Reply::Answer(Answer::Observed(observed)) => {
                self.is_whole(&observed, model).map(|()| Some(observed))
            }
            _ => Err(format!("{reply:?} is no part of an answer")),
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
