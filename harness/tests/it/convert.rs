//! `harness convert` and the library behind it: what a checkpoint becomes, and what is refused.

mod forms;
mod malformed;
mod meaning;
mod pieces;
mod verify;

use std::fs;
use std::path::{Path, PathBuf};

use engine::bytes::ModelBytes;
use engine::checkpoint::{Checkpoint, Options, Said, Target, Written};
use engine::gguf::Gguf;
use engine::refusal::Refusal;
use harness::fixture::checkpoint::{self, File, Form};

use crate::program::{Folder, fixture};

const MOBY: &str = "moby-tiny/moby-tiny-b158.gguf";

fn parse(bytes: Vec<u8>) -> Gguf {
    Gguf::parse(ModelBytes::from_vec(bytes)).expect("a sound file")
}

fn files(model: &Path, form: Form, shards: usize) -> Vec<File> {
    let gguf = parse(fs::read(model).expect("a model"));
    checkpoint::files(&gguf, form, shards).expect("it can be said so")
}

/// A checkpoint of a fixture in a folder of its own.
struct Made {
    folder: Folder,
}

impl Made {
    fn of(model: &Path, form: Form, shards: usize) -> Self {
        Self::from(&files(model, form, shards))
    }

    fn from(files: &[File]) -> Self {
        let folder = Folder::new();
        for File { name, bytes } in files {
            fs::write(folder.path().join(name), bytes).expect("written");
        }
        Made { folder }
    }

    fn moby(form: Form, shards: usize) -> Self {
        Self::of(&fixture(MOBY), form, shards)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Puts `new` in the place of `old` in a file that holds it.
    fn replace(&self, name: &str, old: &str, new: &str) {
        let bytes = fs::read(self.file(name)).expect("there");
        let found = bytes
            .windows(old.len())
            .position(|part| part == old.as_bytes());
        let at = found.unwrap_or_else(|| panic!("{name} holds no {old}"));
        let edited = [&bytes[..at], new.as_bytes(), &bytes[at + old.len()..]].concat();
        fs::write(self.file(name), edited).expect("written");
    }

    fn convert(&self, options: &Options) -> Result<(Vec<u8>, Vec<Written>), Refusal> {
        let checkpoint = Checkpoint::open(self.path())?;
        let mut bytes = Vec::new();
        let plan = checkpoint.plan(options)?;
        let written = plan.write(&mut bytes, |_| ())?;
        Ok((bytes, written))
    }

    fn refused(&self, options: &Options) -> Refusal {
        let refused = self.convert(options).map(|(bytes, _)| bytes.len());
        refused.expect_err("it must not be converted")
    }
}

fn options() -> Options {
    let named = |name| Target::named(name).expect("a name of the table");
    Options {
        target: named("i2_s"),
        table: named("f16"),
        architecture: None,
        name: Some("moby-tiny".into()),
        word_rules: None,
        said: Said::default(),
    }
}
