//! A Hugging Face checkpoint into a GGUF file: which tensor goes where, what is done to it on the
//! way, and what of it is lost.
//!
//! | step | what it does |
//! |---|---|
//! | `unique`, `json`, `shard` | read the files of a checkpoint, every rule of their formats held |
//! | `tensors` | finds tensors by name, in one file or in the shards of an index |
//! | `description` | turns `config.json` into hyper-parameters |
//! | `rope` | reads how positions are stretched, and computes the factors that say so |
//! | `word_rules`, `vocabulary` | turn `tokenizer.json` into the keys of a GGUF file |
//! | `content` | reads a tensor's values in pieces: floats, or digits under a scale |
//! | `meaning` | decides what a linear weight's digits and scale are, or refuses to guess |
//! | `target` | writes values in one of the formats of tensors |
//! | `plan` | lists what will be written, and writes it |
//!
//! No more than a piece of a tensor is in memory, except of packed ones, which are small.
#![forbid(unsafe_code)]

mod content;
mod description;
mod json;
mod meaning;
mod plan;
mod rope;
mod shard;
mod target;
mod tensors;
mod unique;
mod vocabulary;
mod word_rules;

use std::path::{Path, PathBuf};

use crate::config::Architecture;
use crate::refusal::{Code, Refusal};

use json::Json;
use tensors::Tensors;
use vocabulary::Vocabulary;

pub use crate::config::names::sources as source_names;
pub use description::ScaleRule;
pub use meaning::{Floats, Said};
pub use plan::{Plan, Planned, Written};
pub use target::{TARGETS, Target};

/// A folder with a model in it.
pub struct Checkpoint {
    folder: PathBuf,
    config: Json,
    tensors: Tensors,
    vocabulary: Vocabulary,
}

/// How it is converted.
#[derive(Debug, Clone)]
pub struct Options {
    /// How linear weights are written.
    pub target: &'static Target,
    /// How the table of embeddings and the head are written.
    pub table: &'static Target,
    /// Overrides the architecture that the class of the model stands for.
    pub architecture: Option<Architecture>,
    /// Overrides the name of the folder.
    pub name: Option<String>,
    /// Overrides the word rules that are recognised.
    pub word_rules: Option<String>,
    /// What the checkpoint does not say of its linear weights.
    pub said: Said,
}

impl Checkpoint {
    /// Opens a checkpoint and checks the headers of its files.
    pub fn open(folder: &Path) -> Result<Self, Refusal> {
        const CONFIG: &str = "config.json";
        let config = Json::read(folder, CONFIG)?.ok_or_else(|| {
            let place = folder.display().to_string();
            let rule = "a folder with a config.json";
            Refusal::new(Code::MissingKey, place, rule, "no such file")
        })?;
        Ok(Checkpoint {
            folder: folder.to_owned(),
            config,
            tensors: Tensors::open(folder)?,
            vocabulary: Vocabulary::read(folder)?,
        })
    }

    /// The files whose content goes into the conversion.
    pub fn files(&self) -> Vec<PathBuf> {
        let described = ["config.json"].into_iter().chain(vocabulary::FILES);
        let files = described.chain(self.tensors.files());
        let paths = files.map(|file| self.folder.join(file));
        paths.filter(|path| path.is_file()).collect()
    }

    /// The name of the folder, which is what models are called.
    fn name(&self) -> String {
        let whole = self.folder.canonicalize().unwrap_or(self.folder.clone());
        let name = whole.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }
}
