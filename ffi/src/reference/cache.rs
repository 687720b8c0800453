//! Where prepared references live, and how they get there: whole, or not at all.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest, Sha256};

use crate::error::Error;

/// A directory outside every work tree.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `$HARNESS_CACHE`, else `bitnet-harness` below `$XDG_CACHE_HOME`, else below `~/.cache`.
    pub fn from_environment() -> Result<Self, Error> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let below = |dir: PathBuf| dir.join("bitnet-harness");
        let root = set("HARNESS_CACHE")
            .map(PathBuf::from)
            .or_else(|| set("XDG_CACHE_HOME").map(|dir| below(dir.into())))
            .or_else(|| set("HOME").map(|home| below(Path::new(&home).join(".cache"))));
        root.map(Cache::at).ok_or_else(|| Error::Absent {
            what: "there is no place for a cache: neither HARNESS_CACHE nor HOME is set".into(),
            command: "export HARNESS_CACHE=/some/directory".into(),
        })
    }

    /// A cache in a given place.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        // A relative root is made absolute once; only an empty one cannot be.
        Cache {
            root: std::path::absolute(&root).unwrap_or(root),
        }
    }

    /// The place of a built reference.
    pub fn reference(&self, name: &str, key: &str) -> PathBuf {
        self.root.join("references").join(format!("{name}-{key}"))
    }

    /// The place of our interface, compiled.
    pub fn shim(&self, key: &str) -> PathBuf {
        self.root.join("shims").join(key)
    }

    /// The place of llama.cpp's published vocabularies, if they were fetched.
    pub fn tokenizer_suite(&self) -> PathBuf {
        self.root.join("tokenizer-suite")
    }

    /// The built references, by directory.
    pub fn references(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.root.join("references")) else {
            return Vec::new();
        };
        let mut all: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        all.sort();
        all
    }

    /// A new, empty directory on the cache's file system, removed when dropped.
    pub fn scratch(&self) -> Result<Scratch, Error> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", std::process::id());
        let dir = self.root.join("scratch").join(name);
        // A directory of a process that had this number before is nobody's.
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).map_err(|e| Error::io(&dir, e))?;
        let dir = dir.canonicalize().map_err(|e| Error::io(&dir, e))?;
        Ok(Scratch { dir })
    }
}

/// A directory that is removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    dir: PathBuf,
}

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Moves `part` of it to its final place in one step. If another process was faster, its
    /// result stays: same key, same content.
    pub fn publish(&self, part: &str, place: &Path) -> Result<(), Error> {
        let parent = place.parent().expect("places are below the cache's root");
        std::fs::create_dir_all(parent).map_err(|e| Error::io(parent, e))?;
        match std::fs::rename(self.dir.join(part), place) {
            Err(_) if place.is_dir() => Ok(()),
            done => done.map_err(|e| Error::io(place, e)),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A short name for content: the start of the SHA-256 of its parts, each with its length.
pub fn key<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())[..16].to_owned()
}

/// The SHA-256 of a file.
pub fn sha256(path: &Path) -> Result<String, Error> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    Ok(hex(&Sha256::digest(bytes)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{Cache, key};

    #[test]
    fn a_key_tells_where_one_part_ends() {
        assert_ne!(key([&b"ab"[..], b"c"]), key([&b"a"[..], b"bc"]));
        assert_eq!(key([&b"ab"[..]]).len(), 16);
    }

    #[test]
    fn publishing_twice_keeps_the_first_and_leaves_no_scratch() {
        let root = std::env::temp_dir().join(format!("ffi-cache-{}", std::process::id()));
        let cache = Cache::at(&root);
        let place = cache.reference("x", "k");
        for content in ["first", "second"] {
            let scratch = cache.scratch().unwrap();
            std::fs::create_dir(scratch.path().join("done")).unwrap();
            std::fs::write(scratch.path().join("done/file"), content).unwrap();
            scratch.publish("done", &place).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(place.join("file")).unwrap(),
            "first"
        );
        assert_eq!(cache.references(), [place]);
        assert_eq!(std::fs::read_dir(root.join("scratch")).unwrap().count(), 0);
        std::fs::remove_dir_all(root).unwrap();
    }
}
