//! A model file made for a reference, which reads nothing but files.

use std::io;
use std::path::PathBuf;

use ffi::leftovers::{self, Lock};
use tempfile::{Builder, TempPath};

use crate::file::provenance;
use crate::io::signals::Temporary;

/// How their names begin; what follows cannot be guessed.
const PREFIX: &str = "harness-model-";
const SUFFIX: &str = ".gguf";

/// A model file that is gone when this is dropped, or when the next one is made.
pub struct Scratch {
    /// Where it is.
    pub path: PathBuf,
    /// SHA-256 of its bytes.
    pub sha256: String,
    _file: Temporary<TempPath>,
    _lock: Lock,
}

impl Scratch {
    /// A new, empty file that is read and written by this user alone.
    pub fn reserve() -> io::Result<Self> {
        let folder = std::env::temp_dir();
        leftovers::sweep(&folder, PREFIX, SUFFIX);
        let mut lock = None;
        let file = Temporary::make(|| {
            let mut builder = Builder::new();
            builder.prefix(PREFIX).suffix(SUFFIX);
            let (file, held) =
                leftovers::make(|| Ok(builder.tempfile_in(&folder)?.into_temp_path()))?;
            lock = Some(held);
            Ok(file)
        });
        let file =
            file.map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", folder.display())))?;
        Ok(Scratch {
            path: file.path().to_owned(),
            sha256: String::new(),
            _file: file,
            _lock: lock.expect("made with it"),
        })
    }

    /// A file of these bytes.
    pub fn write(bytes: &[u8]) -> io::Result<Self> {
        let mut scratch = Scratch::reserve()?;
        scratch.fill(bytes)?;
        scratch.sha256 = provenance::sha256(bytes);
        Ok(scratch)
    }

    /// Writes all of it.
    pub fn fill(&self, bytes: &[u8]) -> io::Result<()> {
        let written = std::fs::write(&self.path, bytes);
        written.map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", self.path.display())))
    }

    /// The same, once it was written by another process.
    pub fn hashed(mut self) -> io::Result<Self> {
        self.sha256 = provenance::sha256(&std::fs::read(&self.path)?);
        Ok(self)
    }
}
