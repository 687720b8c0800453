//! Replays what a reference computed, from a folder of numbers that is checked before it is
//! believed.

pub mod manifest;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use engine::encoding::float::Float;

use self::manifest::{Manifest, Recording};
use super::{RunError, Runner, Task};
use crate::case::observation::{Greedy, Identity, Lane, Logits, Observation, TracedNode};
use crate::case::taken::Taken;
use crate::exit::Failure;
use crate::file::provenance::Input;
use crate::io::array::Array;

pub(crate) const MANIFEST: &str = "recording.json";
pub(super) const LOGITS: &str = "logits.safetensors";
pub(super) const TRACE: &str = "trace.safetensors";

/// A reference's observations, read back from a folder. Cloning shares the numbers.
#[derive(Clone)]
pub struct Recorded {
    manifest: Arc<Manifest>,
    logits: Arc<BTreeMap<String, Array>>,
    trace: Arc<BTreeMap<String, Array>>,
    fingerprint: String,
    inputs: Vec<Input>,
}

impl Recorded {
    /// Opens `folder/name`, whose manifest must have the hash `checksums` says.
    pub fn open(
        folder: &Path,
        name: &str,
        checksums: &BTreeMap<String, String>,
    ) -> Result<Self, Failure> {
        let wrong = |file: &str, why: &dyn std::fmt::Display| {
            Failure::input(format!("recording {name}: {file}: {why}"))
        };
        let folder = folder.join(name);
        let (input, bytes) = Input::read(&folder.join(MANIFEST))?;
        let fingerprint = input.sha256.clone();
        match checksums.get(&format!("{name}/{MANIFEST}")) {
            Some(listed) if *listed == fingerprint => {}
            Some(_) => return Err(wrong(MANIFEST, &"it is not the file checksums.txt lists")),
            None => return Err(wrong(MANIFEST, &"checksums.txt does not list it")),
        }
        let manifest = Manifest::parse(&bytes, name).map_err(|e| wrong(MANIFEST, &e))?;
        let mut inputs = vec![input];
        let mut read = |file: &str| {
            let (input, bytes) = Input::read(&folder.join(file))?;
            if manifest.files.get(file) != Some(&input.sha256) {
                return Err(wrong(file, &"its hash is not the one in recording.json"));
            }
            inputs.push(input);
            Array::all_of(&bytes, &[Float::F32]).map_err(|e| wrong(file, &e))
        };
        let recorded = Recorded {
            logits: Arc::new(read(LOGITS)?),
            trace: Arc::new(read(TRACE)?),
            fingerprint,
            inputs,
            manifest: Arc::new(manifest),
        };
        recorded.check_logits().map_err(|e| wrong(LOGITS, &e))?;
        recorded.check_trace().map_err(|e| wrong(TRACE, &e))?;
        Ok(recorded)
    }

    /// What the recording says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Every file it was read from.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Every prompt has its two arrays, of its own shape, and no array is left over.
    fn check_logits(&self) -> Result<(), String> {
        let mut left: Vec<&str> = self.logits.keys().map(String::as_str).collect();
        for case in &self.manifest.cases {
            for name in [&case.prefill, &case.decode] {
                let array = self
                    .logits
                    .get(name)
                    .ok_or_else(|| format!("there is no array {name}"))?;
                let shape = [case.positions.len(), self.manifest.vocab_size];
                if array.shape != shape {
                    let found = &array.shape;
                    return Err(format!("{name} has shape {found:?}, not {shape:?}"));
                }
                let place = left.iter().position(|l| l == name);
                left.remove(place.ok_or_else(|| format!("{name} is claimed twice"))?);
            }
        }
        match left.first() {
            Some(name) => Err(format!("array {name} belongs to no prompt")),
            None => Ok(()),
        }
    }

    /// The traced nodes are exactly the listed ones.
    fn check_trace(&self) -> Result<(), String> {
        let cases = || self.manifest.cases.iter();
        let listed = || cases().flat_map(|c| &c.trace_order);
        if let Some(missing) = listed().find(|n| !self.trace.contains_key(*n)) {
            return Err(format!("node {missing} is listed but not there"));
        }
        match self.trace.keys().find(|n| !listed().any(|l| l == *n)) {
            Some(name) => Err(format!("node {name} is there but not listed")),
            None => Ok(()),
        }
    }

    /// What was seen of one of its prompts.
    pub fn seen(&self, recording: &Recording) -> Observation {
        let logits = |name: &str| Logits {
            positions: recording.positions.clone(),
            values: self.logits[name].values.clone(),
            vocab_size: self.manifest.vocab_size,
            named: Vec::new(),
            sixteen_bits: false,
        };
        let node = |key: &String| TracedNode {
            key: key.clone(),
            shape: self.trace[key].shape.clone(),
            values: self.trace[key].values.clone(),
        };
        Observation {
            identity: self.identity(),
            tokens: recording.tokens.clone(),
            lanes: BTreeMap::from([
                (Lane::Prefill, logits(&recording.prefill)),
                (Lane::Decode, logits(&recording.decode)),
            ]),
            greedy: Greedy {
                tokens: recording.greedy.clone(),
                text: recording.greedy_text.clone(),
                logits: Vec::new(),
            },
            trace: recording.trace_order.iter().map(node).collect(),
            taken: Taken::default(),
        }
    }

    fn find(&self, task: Task<'_>) -> Result<&Recording, RunError> {
        let Manifest {
            name,
            model,
            conditions,
            cases,
            ..
        } = &*self.manifest;
        if model.sha256 != task.model.sha256 {
            return Err(RunError::Refused(format!(
                "recording {name} was made from a model with sha256 {}, this one has {}",
                model.sha256, task.model.sha256
            )));
        }
        let recording = cases.iter().find(|c| c.prompt == task.case.prompt);
        let recording = recording.ok_or_else(|| {
            RunError::NoAnswer(format!("recording {name} does not have this prompt"))
        })?;
        // A ubatch that holds the whole prompt computes the same, whatever its size.
        let whole = |ubatch: usize| ubatch.min(recording.tokens.len());
        if whole(conditions.ubatch) != whole(task.case.ubatch) {
            return Err(RunError::Refused(format!(
                "recording {name} was made in ubatches of {}, the case asks for {}",
                conditions.ubatch, task.case.ubatch
            )));
        }
        Ok(recording)
    }
}

impl Runner for Recorded {
    fn identity(&self) -> Identity {
        Identity {
            name: self.manifest.name.clone(),
            profile: self.manifest.profile.clone(),
            fingerprint: self.fingerprint.clone(),
        }
    }

    fn is_live(&self) -> bool {
        false
    }

    fn observe(&mut self, task: Task<'_>) -> Result<Observation, RunError> {
        Ok(self.seen(self.find(task)?))
    }
}
