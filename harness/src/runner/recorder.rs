//! Remembers what a runner saw and writes it as a recording, which the recorded runner reads at
//! once: the way goldens are made.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};

use super::recorded::manifest::{Conditions, Manifest, Model, Recording, Reference, SCHEMA};
use super::recorded::{LOGITS, MANIFEST, TRACE};
use super::shelf::{self, Files};
use super::{RunError, Runner, Task};
use crate::case::Case;
use crate::case::observation::{Identity, Lane, Observation};
use crate::exit::Failure;
use crate::file::provenance;

/// How a live reference is asked, in the words of every recording.
const MADE: &str = "Prompts tokenised with special tokens added and parsed. prefill: the prompt in \
    ubatches, logits asked for at every position. decode: the same tokens fed one at a time. \
    greedy: a prefill that asks for the last position only, then one token at a time. trace: every \
    contiguous F32 node of the prefill in execution order, except those with a running number for \
    a name. Bits as computed. Weights in a packing that the reference does not read were handed to \
    it as F32, the same values.";

/// A case and what was seen of it.
pub struct Seen {
    /// What was asked.
    pub case: Case,
    /// Of the bytes of its model.
    pub model_sha256: String,
    /// What was answered.
    pub observation: Observation,
}

/// A runner whose observations are remembered.
pub struct Recorder {
    inner: Box<dyn Runner>,
    memory: Memory,
}

/// What a recorder remembers; shared, so that it can be written when the runner is gone.
#[derive(Clone, Default)]
pub struct Memory(Rc<RefCell<Vec<Rc<Seen>>>>);

impl Recorder {
    /// Remembers what `inner` sees in `memory`.
    pub fn new(inner: Box<dyn Runner>, memory: Memory) -> Self {
        Recorder { inner, memory }
    }
}

impl Runner for Recorder {
    fn identity(&self) -> Identity {
        self.inner.identity()
    }

    fn is_live(&self) -> bool {
        self.inner.is_live()
    }

    fn shows_nodes(&self) -> bool {
        self.inner.shows_nodes()
    }

    fn observe(&mut self, task: Task<'_>) -> Result<Observation, RunError> {
        let observation = self.inner.observe(task)?;
        self.memory.0.borrow_mut().push(Rc::new(Seen {
            case: task.case.clone(),
            model_sha256: task.model.sha256.clone(),
            observation: observation.clone(),
        }));
        Ok(observation)
    }

    fn controls(&self, task: Task<'_>) -> Vec<Box<dyn Runner>> {
        self.inner.controls(task)
    }
}

impl Memory {
    /// Writes one recording below `shelf`, and lists it there, for each model and each set of
    /// conditions. Cases for which `fit` says no are left out. Returns the recordings' names.
    pub fn write(
        &self,
        shelf: &Path,
        reference: &Reference,
        fit: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, Failure> {
        let mut names = Vec::new();
        for seen in self.alike(fit) {
            let name = name(reference, &seen);
            shelf::add(shelf, &name, &files(&name, reference, &seen)?)?;
            names.push(name);
        }
        Ok(names)
    }

    /// What was seen of the cases for which `fit` says yes, those of one model and one set of
    /// conditions together.
    pub fn alike(&self, fit: impl Fn(&str) -> bool) -> Vec<Vec<Rc<Seen>>> {
        let memory = self.0.borrow();
        let mut alike: BTreeMap<_, Vec<Rc<Seen>>> = BTreeMap::new();
        for seen in memory.iter().filter(|seen| fit(&seen.case.name)) {
            let Case {
                model,
                context,
                ubatch,
                threads,
                ..
            } = &seen.case;
            let conditions = (model, context, ubatch, threads);
            alike.entry(conditions).or_default().push(seen.clone());
        }
        alike.into_values().collect()
    }
}

/// An array with its name and shape.
type Array<'a> = (String, Vec<usize>, &'a [f32]);

/// What was seen, as the files of a recording of that name. There is something.
pub fn files(name: &str, reference: &Reference, seen: &[Rc<Seen>]) -> Result<Files, Failure> {
    let first = seen.first().expect("grouped, so there is one");
    let case = &first.case;
    let traced = seen.iter().position(|s| !s.observation.trace.is_empty());
    let shown = traced.map(|place| &*seen[place]);
    let mut files = Files::from([
        (LOGITS.to_owned(), safetensors_of(&logits(seen))?),
        (TRACE.to_owned(), safetensors_of(&trace(shown))?),
    ]);
    let hashes = files.iter();
    let hashes = hashes.map(|(file, bytes)| (file.clone(), provenance::sha256(bytes)));
    let cases = seen.iter().enumerate();
    let manifest = Manifest {
        schema: SCHEMA,
        name: name.to_owned(),
        reference: reference.clone(),
        profile: first.observation.identity.profile.clone(),
        conditions: Conditions {
            context: case.context,
            ubatch: case.ubatch,
            threads: case.threads,
            kv_cache: "f16".into(),
        },
        made: MADE.into(),
        reason: None,
        model: Model {
            file: case.model.clone(),
            sha256: first.model_sha256.clone(),
        },
        vocab_size: first
            .observation
            .lanes
            .values()
            .next()
            .map_or(0, |l| l.vocab_size),
        files: hashes.collect(),
        cases: cases
            .map(|(i, s)| recording(i, s, traced == Some(i)))
            .collect(),
    };
    files.insert(MANIFEST.to_owned(), manifest.to_json());
    Ok(files)
}

/// Who computed what, and in how large portions where they do not hold every prompt whole.
pub fn name(reference: &Reference, seen: &[Rc<Seen>]) -> String {
    let Case { model, ubatch, .. } = &seen[0].case;
    let stem = Path::new(model).file_stem().unwrap_or_default();
    let name = format!("{}-{}", reference.name, stem.to_string_lossy());
    let split = seen.iter().any(|s| s.observation.tokens.len() > *ubatch);
    if split {
        format!("{name}-ubatch-{ubatch}")
    } else {
        name
    }
}

fn recording(number: usize, seen: &Seen, traced: bool) -> Recording {
    let observation = &seen.observation;
    let keys = observation.trace.iter().filter(|_| traced);
    let positions = observation
        .lanes
        .values()
        .next()
        .map(|l| l.positions.clone());
    Recording {
        prompt: seen.case.prompt.clone(),
        tokens: observation.tokens.clone(),
        positions: positions.unwrap_or_default(),
        prefill: array_name(number, Lane::Prefill),
        decode: array_name(number, Lane::Decode),
        greedy: observation.greedy.tokens.clone(),
        greedy_text: observation.greedy.text.clone(),
        trace_order: keys.map(|node| node.key.clone()).collect(),
    }
}

fn array_name(number: usize, lane: Lane) -> String {
    format!("case{number}.{}", lane.name())
}

fn logits<'a>(seen: &'a [Rc<Seen>]) -> Vec<Array<'a>> {
    let lanes = |(i, seen): (usize, &'a Rc<Seen>)| {
        let lanes = seen.observation.lanes.iter();
        lanes.map(move |(lane, logits)| {
            let shape = vec![logits.positions.len(), logits.vocab_size];
            (array_name(i, *lane), shape, &logits.values[..])
        })
    };
    seen.iter().enumerate().flat_map(lanes).collect()
}

fn trace(seen: Option<&Seen>) -> Vec<Array<'_>> {
    let nodes = seen.into_iter().flat_map(|seen| &seen.observation.trace);
    nodes
        .map(|node| (node.key.clone(), node.shape.clone(), &node.values[..]))
        .collect()
}

fn safetensors_of(arrays: &[Array<'_>]) -> Result<Vec<u8>, Failure> {
    let bytes: Vec<Vec<u8>> = arrays
        .iter()
        .map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect())
        .collect();
    let views = arrays.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        Ok((name.clone(), view.map_err(Failure::environment)?))
    });
    let views: Vec<_> = views.collect::<Result<_, Failure>>()?;
    serialize(views, None).map_err(Failure::environment)
}
