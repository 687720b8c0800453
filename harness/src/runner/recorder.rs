//! Remembers what a runner saw and writes it as a recording, which the recorded runner reads at
//! once: the way goldens are made.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};

use super::recorded::manifest::{Conditions, Manifest, Model, Recording, Reference, SCHEMA};
use super::recorded::{LOGITS, MANIFEST, TRACE};
use super::{RunError, Runner, Task};
use crate::case::Case;
use crate::case::observation::{Identity, Lane, Observation};
use crate::exit::Failure;
use crate::file::provenance;
use crate::io::atomic;

/// How a live reference is asked, in the words of every recording.
const MADE: &str = "Prompts tokenised with special tokens added and parsed. prefill: the prompt in \
    ubatches, logits asked for at every position. decode: the same tokens fed one at a time. \
    greedy: a prefill that asks for the last position only, then one token at a time. trace: every \
    contiguous F32 node of the prefill in execution order, except those with a running number for \
    a name. Bits as computed. Weights in a packing that the reference does not read were handed to \
    it as F32, the same values.";

/// A case and what was seen of it.
struct Seen {
    case: Case,
    model_sha256: String,
    observation: Observation,
}

/// A runner whose observations are remembered.
pub struct Recorder {
    inner: Box<dyn Runner>,
    memory: Memory,
}

/// What a recorder remembers; shared, so that it can be written when the runner is gone.
#[derive(Clone, Default)]
pub struct Memory(Rc<RefCell<Vec<Seen>>>);

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
        self.memory.0.borrow_mut().push(Seen {
            case: task.case.clone(),
            model_sha256: task.model.sha256.clone(),
            observation: observation.clone(),
        });
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
        let memory = self.0.borrow();
        let mut alike: BTreeMap<_, Vec<&Seen>> = BTreeMap::new();
        for seen in memory.iter().filter(|seen| fit(&seen.case.name)) {
            let Case {
                model,
                context,
                ubatch,
                threads,
                ..
            } = &seen.case;
            alike
                .entry((model, context, ubatch, threads))
                .or_default()
                .push(seen);
        }
        let mut names = Vec::new();
        for seen in alike.values() {
            names.push(write_one(shelf, reference, seen)?);
        }
        Ok(names)
    }
}

/// An array with its name and shape.
type Array<'a> = (String, Vec<usize>, &'a [f32]);

fn write_one(shelf: &Path, reference: &Reference, seen: &[&Seen]) -> Result<String, Failure> {
    let first = seen.first().expect("grouped, so there is one");
    let case = &first.case;
    let name = name(reference, seen);
    let folder = shelf.join(&name);
    if folder.exists() {
        let folder = folder.display();
        let message = format!("{folder} is there already: evidence is removed by hand, never here");
        return Err(Failure::input(message));
    }
    fs::create_dir_all(&folder).map_err(Failure::environment)?;
    let mut hashes = BTreeMap::new();
    let traced = seen.iter().position(|s| !s.observation.trace.is_empty());
    for (file, arrays) in [
        (LOGITS, logits(seen)),
        (TRACE, trace(traced.map(|i| seen[i]))),
    ] {
        let bytes = safetensors_of(&arrays)?;
        hashes.insert(file.to_owned(), provenance::sha256(&bytes));
        atomic::write(&folder.join(file), &bytes).map_err(Failure::environment)?;
    }
    let cases = seen.iter().enumerate();
    let manifest = Manifest {
        schema: SCHEMA,
        name: name.clone(),
        reference: reference.clone(),
        profile: first.observation.identity.profile.clone(),
        conditions: Conditions {
            context: case.context,
            ubatch: case.ubatch,
            threads: case.threads,
            kv_cache: "f16".into(),
        },
        made: MADE.into(),
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
        files: hashes.clone(),
        cases: cases
            .map(|(i, s)| recording(i, s, traced == Some(i)))
            .collect(),
    };
    let json = serde_json::to_string_pretty(&manifest).expect("plain data") + "\n";
    hashes.insert(MANIFEST.to_owned(), provenance::sha256(json.as_bytes()));
    atomic::write(&folder.join(MANIFEST), json.as_bytes()).map_err(Failure::environment)?;
    list(shelf, &name, &hashes)?;
    Ok(name)
}

/// Who computed what, and in how large portions where they do not hold every prompt whole.
fn name(reference: &Reference, seen: &[&Seen]) -> String {
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
        unnamed_nodes: Vec::new(),
    }
}

fn array_name(number: usize, lane: Lane) -> String {
    format!("case{number}.{}", lane.name())
}

fn logits<'a>(seen: &[&'a Seen]) -> Vec<Array<'a>> {
    let lanes = |(i, seen): (usize, &&'a Seen)| {
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

/// Adds the files to the shelf's list, in order.
fn list(shelf: &Path, name: &str, hashes: &BTreeMap<String, String>) -> Result<(), Failure> {
    let path = shelf.join("checksums.txt");
    let mut listed = if path.is_file() {
        provenance::checksums(&path)?
    } else {
        BTreeMap::new()
    };
    let own = hashes
        .iter()
        .map(|(file, hash)| (format!("{name}/{file}"), hash.clone()));
    listed.extend(own);
    let lines: String = listed
        .iter()
        .map(|(file, hash)| format!("{hash}  {file}\n"))
        .collect();
    atomic::write(&path, lines.as_bytes()).map_err(Failure::environment)
}
