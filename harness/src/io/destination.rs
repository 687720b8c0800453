//! Where an output goes: standard output or a path, never over an input or another output.
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::fmt;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard};

use crate::exit::Failure;
use crate::io::atomic::{self, Target, folder_of};
use crate::io::output;

/// A path, or `-` for standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// `-`, or what Linux calls it.
    Stdout,
    /// Anything else.
    Path(PathBuf),
}

impl FromStr for Destination {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "-" | "/dev/stdout" => Destination::Stdout,
            path => Destination::Path(path.into()),
        })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Stdout => f.write_str("-"),
            Destination::Path(path) => path.display().fmt(f),
        }
    }
}

impl Destination {
    /// Writes all of it: a file appears whole or not at all.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Destination::Stdout => output::put(bytes).map(drop)?,
            Destination::Path(path) => {
                atomic::write(path, bytes).map_err(Failure::environment)?;
            }
        }
        remember(self, false);
        Ok(())
    }

    /// Writes what comes bit by bit: a file appears whole or not at all.
    pub fn write_with(
        &self,
        write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match self {
            Destination::Stdout => {
                let mut out = BufWriter::new(std::io::stdout().lock());
                write(&mut out)?;
                out.flush().map_err(Failure::environment)?;
            }
            Destination::Path(path) => {
                let mut file = atomic::Unfinished::create(path).map_err(Failure::environment)?;
                write(&mut file)?;
                file.commit().map_err(Failure::environment)?;
            }
        }
        remember(self, false);
        Ok(())
    }

    /// Whether it keeps one result, so that a later one may replace it. What is written into a
    /// pipe or a device is written once.
    pub fn keeps_one(&self) -> bool {
        match self {
            Destination::Stdout => false,
            Destination::Path(path) => matches!(atomic::target(path), Ok(Target::File(_))),
        }
    }

    /// Whether a refusal may be written here: not over a result, and not where nobody has found
    /// out yet that it would destroy no input.
    pub fn takes_a_refusal(&self) -> bool {
        let outputs = outputs();
        let known = outputs.iter().find(|(known, _)| known == self);
        known.map_or(*self == Destination::Stdout, |(_, free)| *free)
    }
}

/// The outputs of this process, and whether each is known to destroy nothing and has no result yet.
static OUTPUTS: Mutex<Vec<(Destination, bool)>> = Mutex::new(Vec::new());

fn outputs() -> MutexGuard<'static, Vec<(Destination, bool)>> {
    OUTPUTS.lock().unwrap_or_else(|e| e.into_inner())
}

fn remember(destination: &Destination, free: bool) {
    let mut outputs = outputs();
    outputs.retain(|(known, _)| known != destination);
    outputs.push((destination.clone(), free));
}

/// The files that one call reads and writes, so that no output destroys an input or another
/// output. Ask before anything runs.
#[derive(Debug, Default)]
pub struct FileRoles {
    known: Vec<(String, Identity)>,
    continued: Option<Identity>,
}

/// What makes two paths the same file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Identity {
    Stdout,
    /// A file that is there: device and inode, through links.
    #[cfg(unix)]
    There(u64, u64),
    /// A file that is not there yet: its folder and its name.
    NotYet(PathBuf),
}

impl FileRoles {
    /// `path` is read because of `flag`.
    pub fn reads(mut self, flag: &str, path: &Path) -> Self {
        if let Some(identity) = identity(path) {
            self.known
                .push((format!("{flag} {}", path.display()), identity));
        }
        self
    }

    /// `path` is read, and an output may take its place: the result of an earlier run, that this
    /// one goes on with. No refusal replaces it.
    pub fn continues(mut self, path: Option<&Path>) -> Self {
        self.continued = path.and_then(identity);
        self
    }

    /// `destination` is written because of `flag`. Refused if it is a file that is read or written
    /// otherwise, or if nothing can be written there.
    pub fn writes(
        mut self,
        flag: &str,
        destination: Option<&Destination>,
    ) -> Result<Self, Failure> {
        let Some(destination) = destination else {
            return Ok(self);
        };
        let found = match destination {
            Destination::Stdout => Some(Identity::Stdout),
            Destination::Path(path) => {
                can_hold_a_file(flag, path)?;
                identity(path)
            }
        };
        let own = format!("{flag} {destination}");
        let taken = self
            .known
            .iter()
            .find(|(_, known)| found.as_ref() == Some(known));
        let holds_a_result = found.is_some() && found == self.continued;
        remember(destination, taken.is_none() && !holds_a_result);
        if let Some((other, _)) = taken {
            return Err(Failure::input(format!(
                "{own} is the same file as {other}: give one of them another path"
            )));
        }
        self.known.extend(found.map(|found| (own, found)));
        Ok(self)
    }
}

/// None for what can be written any number of times without loss: devices, pipes, sockets.
fn identity(path: &Path) -> Option<Identity> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => Some(inode(&found, path)),
        Ok(_) => None,
        Err(_) => match atomic::target(path) {
            Ok(Target::File(target)) => Some(Identity::NotYet(target)),
            _ => None,
        },
    }
}

#[cfg(unix)]
fn inode(found: &fs::Metadata, _: &Path) -> Identity {
    use std::os::unix::fs::MetadataExt;
    Identity::There(found.dev(), found.ino())
}

#[cfg(not(unix))]
fn inode(_: &fs::Metadata, path: &Path) -> Identity {
    Identity::NotYet(path.canonicalize().unwrap_or_else(|_| path.to_owned()))
}

/// Tries it: who learns at the end of a long run that its result cannot be written has lost it.
fn can_hold_a_file(flag: &str, path: &Path) -> Result<(), Failure> {
    let shown = format!("{flag} {}", path.display());
    if path.is_dir() {
        return Err(Failure::input(format!("{shown}: is a folder, not a file")));
    }
    let folder = folder_of(path);
    if !folder.is_dir() {
        let message = format!("{shown}: there is no folder {}", folder.display());
        return Err(Failure::environment(message));
    }
    match atomic::target(path) {
        Ok(Target::File(_)) => atomic::Unfinished::create(path).map(drop),
        Ok(Target::Stream(_)) => Ok(()),
        Err(error) => Err(error),
    }
    .map_err(|e| Failure::environment(format!("{flag}: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_replaces_neither_an_earlier_result_nor_an_unchecked_file() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("r.json");
        fs::write(&path, b"a result").expect("temporary file");
        let to = Destination::Path(path.clone());
        assert!(!to.takes_a_refusal(), "it was never checked");
        let roles = FileRoles::default().continues(Some(&path));
        assert!(roles.writes("--json", Some(&to)).is_ok());
        assert!(!to.takes_a_refusal(), "it holds what is gone on with");
        let roles = FileRoles::default().writes("--json", Some(&to));
        assert!(to.takes_a_refusal());
        assert!(roles.expect("one").writes("--junit", Some(&to)).is_err());
        assert!(!to.takes_a_refusal(), "two outputs were to be there");
        let null = Destination::Path("/dev/null".into());
        let roles = FileRoles::default().writes("--logits", Some(&null));
        let twice = roles.expect("a device").writes("--trace", Some(&null));
        assert!(twice.is_ok(), "nothing is lost");
    }
}
