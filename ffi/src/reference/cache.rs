//! Where prepared references live, and how they get there: whole, or not at all.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::error::Error;
use crate::leftovers::{self, Lock};

/// A directory outside every work tree.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `$HARNESS_CACHE`, else `bitnet-harness` below `$XDG_CACHE_HOME`, else below `~/.cache`;
    /// below `%LOCALAPPDATA%`, where Windows has that instead.
    pub fn from_environment() -> Result<Self, Error> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let below = |dir: PathBuf| dir.join("bitnet-harness");
        let root = set("HARNESS_CACHE")
            .map(PathBuf::from)
            .or_else(|| set("XDG_CACHE_HOME").map(|dir| below(dir.into())))
            .or_else(|| set("HOME").map(|home| below(Path::new(&home).join(".cache"))))
            .or_else(|| set("LOCALAPPDATA").map(|dir| below(dir.into())));
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

    /// Refuses a cache in which another user could put another library: what lies here is loaded.
    #[cfg(unix)]
    pub fn require_own(&self) -> Result<(), Error> {
        use std::os::unix::fs::MetadataExt;
        let own = std::fs::metadata("/proc/self").ok().map(|own| own.uid());
        for inside in ["", "references", "shims"] {
            let place = self.root.join(inside);
            let Ok(found) = std::fs::metadata(&place) else {
                continue; // not there yet
            };
            let why = match found.uid() {
                _ if found.mode() & 0o002 != 0 => "every user can write to it".to_owned(),
                user if user != 0 && own.is_some_and(|own| own != user) => {
                    format!("it is user {user}'s")
                }
                _ => continue,
            };
            let what = format!("{why}, and libraries in it are loaded: set HARNESS_CACHE");
            return Err(Error::not_a_reference(place, what));
        }
        Ok(())
    }

    /// Elsewhere nothing is loaded.
    #[cfg(not(unix))]
    pub fn require_own(&self) -> Result<(), Error> {
        Ok(())
    }

    /// The place of a built reference.
    pub fn reference(&self, name: &str, key: &str) -> PathBuf {
        self.root.join("references").join(format!("{name}-{key}"))
    }

    /// The place of fixtures that a program brought with it.
    pub fn fixtures(&self, key: &str) -> PathBuf {
        self.root.join("fixtures").join(key)
    }

    /// The place of our interface, compiled.
    pub fn shim(&self, key: &str) -> PathBuf {
        self.root.join("shims").join(key)
    }

    /// The place of models that were made for timing.
    pub fn models(&self) -> PathBuf {
        self.root.join("models")
    }

    /// The place of what failed when it was run last.
    pub fn last_runs(&self) -> PathBuf {
        self.root.join("last-runs")
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

    /// What the tools wrote that built the reference in `install_dir`: kept, and written anew by
    /// the next attempt.
    pub fn log(&self, install_dir: &Path) -> PathBuf {
        let name = install_dir.file_name().unwrap_or_default();
        self.root
            .join("logs")
            .join(name)
            .with_added_extension("log")
    }

    /// A new, empty directory on the cache's file system, removed when dropped.
    pub fn scratch(&self) -> Result<Scratch, Error> {
        let parent = self.root.join("scratch");
        create_dir(&parent)?;
        leftovers::sweep(&parent, SCRATCH, "");
        let name = own();
        let mut builder = tempfile::Builder::new();
        let made = leftovers::make(|| builder.prefix(&name).tempdir_in(&parent));
        let (folder, lock) = made.map_err(|e| Error::io(&parent, e))?;
        Ok(Scratch {
            folder,
            _lock: lock,
        })
    }

    /// Removes every such directory of this process, for those who end it without dropping them.
    pub fn remove_scratch(&self) {
        let all = std::fs::read_dir(self.root.join("scratch"));
        for entry in all.into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&own()) {
                // What cannot be removed stays behind; there is no other way to go on anyway.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// A directory of the cache's that is gone when this is dropped, or when the next one is made.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    _lock: Lock,
}

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// How the names of scratch directories begin.
const SCRATCH: &str = "of-";

/// The same of this process alone.
fn own() -> String {
    format!("{SCRATCH}{}-", std::process::id())
}

/// Moves a directory to its final place in one step. If another process was faster, its result
/// stays: same key, same content.
pub fn publish(done: &Path, place: &Path) -> Result<(), Error> {
    create_dir(place.parent().expect("places are below the cache's root"))?;
    match std::fs::rename(done, place) {
        Err(_) if place.is_dir() => Ok(()),
        done => done.map_err(|e| Error::io(place, e)),
    }
}

/// A directory and those above it, unless they are there.
pub fn create_dir(dir: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))
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

/// As two digits a byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{Cache, key, publish};

    #[test]
    fn a_key_tells_where_one_part_ends() {
        assert_ne!(key([&b"ab"[..], b"c"]), key([&b"a"[..], b"bc"]));
        assert_eq!(key([&b"ab"[..]]).len(), 16);
    }

    #[test]
    fn publishing_twice_keeps_the_first_and_leaves_no_scratch() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path());
        let place = cache.reference("x", "k");
        for content in ["first", "second"] {
            let scratch = cache.scratch().unwrap();
            let done = scratch.path().join("done");
            std::fs::create_dir(&done).unwrap();
            std::fs::write(done.join("file"), content).unwrap();
            publish(&done, &place).unwrap();
        }
        let kept = std::fs::read_to_string(place.join("file")).unwrap();
        assert_eq!(kept, "first");
        assert_eq!(cache.references(), [place]);
        let scratch = root.path().join("scratch");
        assert_eq!(std::fs::read_dir(scratch).unwrap().count(), 0);
    }

    #[test]
    #[cfg(unix)]
    fn a_cache_that_others_can_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path());
        let shims = root.path().join("shims");
        std::fs::create_dir(&shims).unwrap();
        assert!(cache.require_own().is_ok());
        std::fs::set_permissions(&shims, std::fs::Permissions::from_mode(0o777)).unwrap();
        let told = cache.require_own().unwrap_err().to_string();
        assert!(
            told.contains("shims") && told.contains("every user can write"),
            "{told}"
        );
    }

    #[test]
    fn what_a_killed_build_left_is_gone_with_the_next() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path());
        let left = root.path().join("scratch/of-4711-x/source");
        std::fs::create_dir_all(&left).unwrap();
        let one = cache.scratch().unwrap();
        assert!(!left.exists());
        let other = cache.scratch().unwrap();
        assert!(one.path().is_dir() && other.path().is_dir());
    }
}
