//! The worker that drives a C++ reference: what happens on the far side of the channel.
//!
//! A phase is announced before every call that reaches foreign code. One file per kind of question.

mod follow;
mod kernels;
mod tokenize;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engine::bytes::ModelBytes;
use engine::flavor::Flavor;
use engine::gguf::Gguf;
use engine::gguf::tensor_type::id;
use engine::refusal::{Code, Refusal};
use ffi::reference::{Cache, IfMissing, Spec, prepare};
use ffi::{Library, Model, ModelOptions, RequantizeOptions, control_word};

use crate::file::opened::packings;
use crate::file::provenance::Input;
use crate::reference::isolation::{
    Answer, Channel, Done, Hello, ModelFile, PROTOCOL, Request, Serve, Stop,
};
use crate::reference::surroundings::surroundings;

/// The type of the fixtures' two-bit weights in the tree that invented it.
const I2_S: i32 = 36;

/// A reference, loaded.
pub struct Reference {
    library: Library,
    knows_i2_s: bool,
    /// The model that was asked about last: there are many questions to one.
    held: Option<Held>,
}

/// A model, loaded.
struct Held {
    file: PathBuf,
    sha256: String,
    model: Model,
    extent: Extent,
    /// How long it took to load.
    load: Duration,
}

/// How much of a model file is read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Extent {
    Vocabulary,
    Whole,
}

impl Reference {
    /// Loads the reference prepared at `place`, a directory.
    pub fn start(place: &Path, channel: &mut Channel) -> Result<(Self, Hello), Stop> {
        channel.phase("finding the reference")?;
        let asked = Spec::Directory(place.to_owned());
        let cache = Cache::from_environment().map_err(refused)?;
        let prepared = prepare(&asked, &cache, IfMissing::Fail, &mut |line| {
            crate::io::output::tell(line)
        });
        let prepared = prepared.map_err(refused)?;
        channel.phase("loading the library")?;
        let before = control_word();
        let library = Library::open(&prepared).map_err(refused)?;
        let after = control_word();
        channel.phase("asking for the types it knows")?;
        let i2_s = library.kernels().describe(I2_S);
        let identity = library.identity();
        let mut details = identity.details.clone();
        for (name, file) in [
            ("libllama", &identity.libllama),
            ("libggml", &identity.libggml),
        ] {
            details.insert(name.into(), file.display().to_string());
        }
        let knows_i2_s = i2_s.is_ok_and(|facts| facts.can_dot && facts.name == "i2_s");
        let multiplies = |id: u32| {
            let facts = library.kernels().describe(id.cast_signed());
            facts.is_ok_and(|facts| facts.can_dot)
        };
        let lacks = [id::TQ1_0, id::TQ2_0].into_iter();
        let lacks = lacks.filter(|id| !multiplies(*id)).collect();
        let hello = Hello {
            protocol: PROTOCOL,
            api: identity.api.clone(),
            system_info: identity.system_info.clone(),
            sha256: prepared.provenance.sha256.clone(),
            knows_i2_s,
            lacks,
            details,
            control_word: [before, after],
            surroundings: surroundings(&prepared.provenance.sha256),
        };
        let reference = Reference {
            library,
            knows_i2_s,
            held: None,
        };
        Ok((reference, hello))
    }

    /// Reads a model file, unless it is the one that was asked about last.
    fn hold(
        &mut self,
        file: &ModelFile,
        extent: Extent,
        channel: &mut Channel,
    ) -> Result<(), Stop> {
        let at_hand = |held: &Held| held.file == file.path && held.extent >= extent;
        if !self.held.as_ref().is_some_and(at_hand) {
            self.held = None; // only one is in memory
            self.held = Some(self.load(&file.path, extent, channel)?);
        }
        Ok(())
    }

    fn requantize(
        &self,
        from: &Path,
        to: &Path,
        file_type: i32,
        threads: usize,
    ) -> Result<(), Stop> {
        let options = RequantizeOptions {
            file_type,
            threads: i32::try_from(threads).unwrap_or(i32::MAX),
            allow_requantize: true,
            pure: false,
            only_copy: false,
            quantize_output: true,
        };
        let written = self.library.requantize(from, to, &options);
        written.map_err(refused)
    }

    fn load(&self, file: &Path, extent: Extent, channel: &mut Channel) -> Result<Held, Stop> {
        let (input, bytes) = Input::read(file).map_err(refused)?;
        let bytes = ModelBytes::clone(&bytes);
        if extent == Extent::Whole
            && !self.knows_i2_s
            && has_i2_s(bytes.clone()).map_err(refused)?
        {
            let message = "this library cannot multiply I2_S weights and would compute nonsense";
            return Err(Stop::Refused(message.into()));
        }
        if let (Extent::Whole, Some(packing)) = (extent, misread(&bytes)) {
            let message = format!("this library would read {packing} as i2_s-p128");
            return Err(Stop::Refused(message));
        }
        channel.phase(match extent {
            Extent::Vocabulary => "reading the vocabulary",
            Extent::Whole => "loading the model",
        })?;
        let options = ModelOptions {
            vocab_only: extent == Extent::Vocabulary,
            ..ModelOptions::default()
        };
        let began = Instant::now();
        let model = self.library.model(file, &options).map_err(refused)?;
        let load = began.elapsed();
        // The library read the file again: it must still be the one that was hashed.
        input.still_holds().map_err(refused)?;
        Ok(Held {
            file: file.to_owned(),
            sha256: input.sha256,
            model,
            extent,
            load,
        })
    }
}

impl Serve for Reference {
    fn answer(&mut self, request: Request, channel: &mut Channel) -> Result<Answer, Stop> {
        let extent = match &request {
            Request::Open { .. } | Request::Follow { .. } | Request::Time { .. } => Extent::Whole,
            _ => Extent::Vocabulary,
        };
        if let Some(model) = request.model() {
            self.hold(model, extent, channel)?;
        }
        let held = || self.held.as_ref().expect("the request names a model");
        let model_sha256 = request.model().map(|_| held().sha256.clone());
        let done = match request {
            Request::Open { .. } => Done::Opened,
            Request::Spell { questions, .. } => {
                let answers = held().spell(&questions, channel)?;
                Done::Spelled { answers }
            }
            Request::Describe {
                first,
                count,
                in_full,
                ..
            } => Done::Described(held().describe(first, count, in_full, channel)?),
            Request::Requantize {
                from,
                to,
                file_type,
                threads,
            } => {
                channel.phase("writing the weights anew")?;
                self.requantize(&from, &to, file_type, threads)?;
                Done::Requantized
            }
            Request::Follow {
                schedule,
                shown,
                replaced,
                ..
            } => {
                let exchange = follow::Exchange::new(shown, replaced);
                held().follow(&schedule, exchange, channel)?;
                let vocab_size = held().model.facts().n_vocab;
                Done::Followed { vocab_size }
            }
            Request::Time {
                likeliest: true, ..
            }
            | Request::Render(_) => {
                let message = "a reference computes all logits and renders no chat templates";
                return Err(Stop::Refused(message.into()));
            }
            Request::Time { schedule, .. } => {
                let cost = held().time(&schedule, channel)?;
                let vocab_size = held().model.facts().n_vocab;
                Done::Timed { vocab_size, cost }
            }
            Request::Type { kind } => {
                channel.phase(&format!("describing type {kind}"))?;
                // A number that means nothing here is an answer, not a failure.
                Done::Type(self.library.kernels().describe(kind).ok())
            }
            Request::Kernel {
                call,
                values,
                bytes,
            } => Done::Computed(self.compute(call, &values, &bytes, channel)?),
        };
        Ok(Answer { model_sha256, done })
    }
}

/// Whether a file holds weights that only the tree that invented the type can read: the others use
/// its number for something else.
fn has_i2_s(bytes: ModelBytes) -> Result<bool, Refusal> {
    match Gguf::parse(bytes) {
        // What holds types of the library's own it has written itself.
        Err(refusal) if refusal.code == Code::TensorTypeUnknown => Ok(false),
        gguf => Ok(gguf?.tensors.iter().any(|t| t.type_id == I2_S as u32)),
    }
}

/// The first packing under the type of I2_S that a library takes for its own and that is another.
fn misread(bytes: &ModelBytes) -> Option<Flavor> {
    let gguf = Gguf::parse(bytes.clone()).ok()?;
    let mut decided = packings(&gguf, None).filter(|(tensor, _)| tensor.type_id == I2_S as u32);
    decided.find_map(|(_, detection)| {
        let flavor = detection.ok()?.flavor;
        (flavor != Flavor::I2sP128).then_some(flavor)
    })
}

fn refused(error: impl ToString) -> Stop {
    Stop::Refused(error.to_string())
}
