//! The worker that drives a C++ reference: what happens on the far side of the channel.
//!
//! A phase is announced before every call that reaches foreign code. One file per kind of question.
#![forbid(unsafe_code)]

mod follow;
mod kernels;
mod requantize;
mod tokenize;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engine::bytes::ModelBytes;
use engine::gguf::Gguf;
use engine::refusal::{Code, Refusal};
use ffi::reference::{Asked, Cache, IfMissing, prepare};
use ffi::{Library, Model, ModelOptions, control_word};

use crate::file::provenance::Input;
use crate::reference::isolation::{
    Answer, Channel, Done, Hello, ModelFile, PROTOCOL, Request, Serve, Stop, TypeFacts,
};

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
        let asked = Asked::Directory(place.to_owned());
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
        let hello = Hello {
            protocol: PROTOCOL,
            api: identity.api.clone(),
            system_info: identity.system_info.clone(),
            sha256: prepared.provenance.sha256,
            knows_i2_s,
            details,
            control_word: [before, after],
        };
        let reference = Reference {
            library,
            knows_i2_s,
            held: None,
        };
        Ok((reference, hello))
    }

    /// A model file, read unless it is the one that was asked about last.
    fn hold(
        &mut self,
        file: &ModelFile,
        extent: Extent,
        channel: &mut Channel,
    ) -> Result<&Held, Stop> {
        let file = &file.path;
        let at_hand = |held: &Held| held.file == *file && held.extent >= extent;
        if !self.held.as_ref().is_some_and(at_hand) {
            self.held = None; // only one is in memory
            self.held = Some(self.load(file, extent, channel)?);
        }
        Ok(self.held.as_ref().expect("just loaded"))
    }

    fn load(&self, file: &Path, extent: Extent, channel: &mut Channel) -> Result<Held, Stop> {
        let (input, bytes) = Input::read(file).map_err(refused)?;
        if extent == Extent::Whole && !self.knows_i2_s && has_i2_s(bytes).map_err(refused)? {
            let message = "this library cannot multiply I2_S weights and would compute nonsense";
            return Err(Stop::Refused(message.into()));
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
    fn answer(
        &mut self,
        request: Request,
        values: Vec<f32>,
        channel: &mut Channel,
    ) -> Result<Answer, Stop> {
        let (held, done) = match request {
            Request::Open { model } => {
                let held = self.hold(&model, Extent::Whole, channel)?;
                (Some(held), Done::Opened)
            }
            Request::Spell { model, questions } => {
                let held = self.hold(&model, Extent::Vocabulary, channel)?;
                let answers = held.spell(&questions, channel)?;
                (Some(held), Done::Spelled { answers })
            }
            Request::Describe {
                model,
                first,
                count,
                in_full,
            } => {
                let held = self.hold(&model, Extent::Vocabulary, channel)?;
                let described = held.describe(first, count, in_full, channel)?;
                (Some(held), Done::Described(described))
            }
            Request::Requantize {
                from,
                to,
                file_type,
            } => {
                self.requantize(&from, &to, file_type, channel)?;
                (None, Done::Requantized)
            }
            Request::Follow {
                model,
                schedule,
                shown,
                replaced,
            } => {
                let exchange = follow::Exchange::new(shown, replaced, &values)?;
                let held = self.hold(&model, Extent::Whole, channel)?;
                held.follow(&schedule, exchange, channel)?;
                let vocab_size = held.model.facts().n_vocab;
                (Some(held), Done::Followed { vocab_size })
            }
            Request::Time {
                likeliest: true, ..
            } => {
                let message = "a reference computes all logits";
                return Err(Stop::Refused(message.into()));
            }
            Request::Time {
                model, schedule, ..
            } => {
                let held = self.hold(&model, Extent::Whole, channel)?;
                let cost = held.time(&schedule, channel)?;
                let vocab_size = held.model.facts().n_vocab;
                (Some(held), Done::Timed { vocab_size, cost })
            }
            Request::Kernel { call } => {
                let computed = self.compute(call, values, channel)?;
                (None, Done::Computed(computed))
            }
        };
        Ok(Answer {
            model_sha256: held.map(|held| held.sha256.clone()),
            done,
        })
    }
}

impl From<ffi::TypeFacts> for TypeFacts {
    fn from(facts: ffi::TypeFacts) -> Self {
        TypeFacts {
            name: facts.name,
            block: facts.block_size,
            block_bytes: facts.block_bytes,
            partner: facts.dot_partner,
            encodes: facts.can_quantize,
            decodes: facts.can_dequantize,
            quantises: facts.can_quantize_activation,
            multiplies: facts.can_dot,
        }
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

fn refused(error: impl ToString) -> Stop {
    Stop::Refused(error.to_string())
}
