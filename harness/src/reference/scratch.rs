//! A model file made for a reference, which reads nothing but files.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::file::provenance;
use crate::io::output;
use crate::io::signals::Temporary;

/// A model file that is gone when this is dropped.
pub struct Scratch {
    /// Where it is.
    pub path: PathBuf,
    /// SHA-256 of its bytes.
    pub sha256: String,
    _known: Temporary<PathBuf>,
}

impl Scratch {
    /// A name nobody else uses; there is no file yet.
    pub fn reserve() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("harness-scratch-{}-{number}.gguf", std::process::id());
        let path = std::env::temp_dir().join(name);
        let known = Temporary::make(|| Ok(path.clone())).expect("a name cannot fail");
        Scratch {
            path,
            sha256: String::new(),
            _known: known,
        }
    }

    /// A file of these bytes.
    pub fn write(bytes: &[u8]) -> io::Result<Self> {
        let mut scratch = Scratch::reserve();
        std::fs::write(&scratch.path, bytes)?;
        scratch.sha256 = provenance::sha256(bytes);
        Ok(scratch)
    }

    /// The same, once somebody else has written it.
    pub fn hashed(mut self) -> io::Result<Self> {
        self.sha256 = provenance::sha256(&std::fs::read(&self.path)?);
        Ok(self)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        match std::fs::remove_file(&self.path) {
            // What cannot be removed is the temporary folder's problem, but not a secret.
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                output::tell(format!("{} stays behind: {e}", self.path.display()));
            }
            _ => {}
        }
    }
}
