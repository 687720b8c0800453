//! The worker that drives a C++ reference: what happens on the far side of the channel.
//!
//! A phase is announced before every call that reaches foreign code. One file per kind of question.
#![forbid(unsafe_code)]

mod kernels;
mod logits;
mod observe;
mod requantize;
mod swap;
mod tokenize;

use std::path::Path;

use engine::bytes::ModelBytes;
use engine::gguf::Gguf;
use engine::refusal::{Code, Refusal};
use ffi::reference::{Asked, Cache, IfMissing, prepare};
use ffi::{Library, Model, ModelOptions, control_word};

use crate::file::provenance::Input;
use crate::reference::isolation::{
    Answer, Channel, Hello, PROTOCOL, Request, Serve, Stop, TypeFacts,
};

/// The type of the fixtures' two-bit weights in the tree that invented it.
const I2_S: i32 = 36;

/// A reference, loaded.
pub struct Reference {
    library: Library,
    knows_i2_s: bool,
    /// The vocabulary that was asked about last: there are many questions to one.
    vocabulary: Option<tokenize::Vocabulary>,
    /// The model of the last swap: many follow on the same one.
    held: Option<swap::Held>,
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
            vocabulary: None,
            held: None,
        };
        Ok((reference, hello))
    }

    /// Loads a model file; its SHA-256 comes with it.
    fn model(&self, file: &Path, channel: &mut Channel) -> Result<(Model, String), Stop> {
        let (input, bytes) = Input::read(file).map_err(refused)?;
        if !self.knows_i2_s && has_i2_s(bytes).map_err(refused)? {
            let message = "this library cannot multiply I2_S weights and would compute nonsense";
            return Err(Stop::Refused(message.into()));
        }
        channel.phase("loading the model")?;
        let options = ModelOptions::default();
        let model = self.library.model(file, &options).map_err(refused)?;
        // The library read the file again: it must still be the one that was hashed.
        input.still_holds().map_err(refused)?;
        Ok((model, input.sha256))
    }
}

impl Serve for Reference {
    fn answer(
        &mut self,
        request: Request,
        values: Vec<f32>,
        channel: &mut Channel,
    ) -> Result<Answer, Stop> {
        match request {
            Request::Observe {
                case,
                model,
                threads,
            } => {
                let observed = self.observe(&case, &model, threads, channel)?;
                Ok(Answer::Observed(observed))
            }
            Request::Spell { model, questions } => {
                let answers = self
                    .vocabulary(&model, channel)?
                    .spell(&questions, channel)?;
                Ok(Answer::Spelled { answers })
            }
            Request::Describe {
                model,
                first,
                count,
                in_full,
            } => {
                let vocabulary = self.vocabulary(&model, channel)?;
                let described = vocabulary.describe(first, count, in_full, channel)?;
                Ok(Answer::Described(described))
            }
            Request::Requantize {
                from,
                to,
                file_type,
            } => {
                self.requantize(&from, &to, file_type, channel)?;
                Ok(Answer::Requantized)
            }
            Request::Swap {
                model,
                tokens,
                context,
                ubatch,
                threads,
                shown,
                replaced,
            } => {
                let options = observe::options([context, ubatch, threads], tokens.len())?;
                let exchange = swap::Exchange::new(shown, replaced, values);
                self.swap(&model, &tokens, &options, exchange, channel)
            }
            Request::Nodes { model, schedule } => {
                let model_sha256 = self.watch(&model, &schedule, channel)?;
                Ok(Answer::Followed { model_sha256 })
            }
            Request::Logits { model, schedules } => {
                let model_sha256 = self.follow(&model, &schedules, channel)?;
                Ok(Answer::Followed { model_sha256 })
            }
            Request::Kernel { call } => self.compute(call, values, channel).map(Answer::Computed),
        }
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
