//! The table of targets.

mod arrays;
mod checkpoint;
mod export;
mod gguf;
mod model;
mod planted;
mod template;
mod vocabulary;
mod wire;
mod words;

use std::path::{Path, PathBuf};

/// Something that reads bytes.
pub struct Target {
    /// What it is called, as is its folder of the corpus.
    pub name: &'static str,
    /// What it reads, and what is promised of that.
    pub about: &'static str,
    /// Reads; panics where a promise is broken.
    pub run: fn(&[u8]),
    /// Inputs from which a search begins, beside those of the corpus.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub static TARGETS: [Target; 12] = [
    Target {
        name: "gguf",
        about: "a GGUF file: what is accepted is checked, written again and computed",
        run: gguf::run,
        seeds: gguf::seeds,
    },
    Target {
        name: "model",
        about: "a random model, damaged: two kernels and two threads compute the same bits",
        run: model::run,
        seeds: Vec::new,
    },
    Target {
        name: "vocabulary",
        about: "a vocabulary and texts: ids lie in it, and their text is their bytes",
        run: vocabulary::run,
        seeds: Vec::new,
    },
    Target {
        name: "template",
        about: "a chat template and a conversation: a bounded prompt, twice the same",
        run: template::run,
        seeds: template::seeds,
    },
    Target {
        name: "receipt",
        about: "a receipt: what is read is verified, exported and written as it was",
        run: words::receipt,
        seeds: words::receipts,
    },
    Target {
        name: "recording",
        about: "a recording's description and a list of cases",
        run: words::recording,
        seeds: words::recordings,
    },
    Target {
        name: "arrays",
        about: "NumPy, safetensors, a base of llama-perplexity: the same values when written again",
        run: arrays::run,
        seeds: arrays::seeds,
    },
    Target {
        name: "frames",
        about: "what a worker says: the same message when it is said again",
        run: wire::frames,
        seeds: wire::some_frames,
    },
    Target {
        name: "subject",
        about: "what an engine answers in the protocol of subjects",
        run: wire::answers,
        seeds: wire::some_answers,
    },
    Target {
        name: "checkpoint",
        about: "a checkpoint, damaged: what is converted is a file of the planned size that opens",
        run: checkpoint::run,
        seeds: Vec::new,
    },
    Target {
        name: "export",
        about: "weights in memory: what is exported is a file of the planned size that is read",
        run: export::run,
        seeds: Vec::new,
    },
    Target {
        name: "importance",
        about: "a file of importance: read or refused",
        run: export::importance,
        seeds: export::importances,
    },
];

/// Bugs that are there for the search itself to be tested by: it has to find each of them.
pub static PLANTED: [Target; 3] = [
    Target {
        name: "planted-panic",
        about: "panics at a word",
        run: planted::panic,
        seeds: Vec::new,
    },
    Target {
        name: "planted-hang",
        about: "does not come back from a word",
        run: planted::hang,
        seeds: Vec::new,
    },
    Target {
        name: "planted-allocation",
        about: "asks for more memory than there is at a word",
        run: planted::allocation,
        seeds: Vec::new,
    },
];

impl Target {
    /// The one of that name.
    pub fn named(name: &str) -> Option<&'static Target> {
        let mut all = TARGETS.iter().chain(&PLANTED);
        all.find(|target| target.name == name)
    }

    /// Where its inputs are kept.
    pub fn corpus(&self) -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        root.join("corpus").join(self.name)
    }
}
