//! Files that appear whole or not at all: written beside their place, then renamed into it.
//!
//! Only a regular file is replaced. A link is followed to what it names; a device, a pipe, a
//! socket or an open descriptor is written to, once everything there is to write is known.
#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Seek, Write};
use std::path::{Path, PathBuf};

use ffi::leftovers::{self, Lock};
use tempfile::TempPath;

use crate::io::signals::Temporary;

/// Links that may follow each other; Linux allows as many.
const MAX_LINKS: usize = 40;
/// How the names of unfinished files begin and end. What a killed run left is gone with the next
/// file that is begun beside it.
const PREFIX: &str = ".harness-";
const SUFFIX: &str = ".part";

/// Replaces the content of `path` by `bytes`. A reader sees the old content or the new, never a
/// part.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = Unfinished::create(path)?;
    file.write_all(bytes)?;
    file.commit()
}

/// A file that is not in its place yet. Dropped without [`Unfinished::commit`], it was never there.
pub struct Unfinished {
    out: BufWriter<File>,
    place: Place,
    path: PathBuf,
}

/// Where the bytes go in the end.
enum Place {
    /// The file beside a regular file, and that file.
    Instead(Temporary<TempPath>, PathBuf, Lock),
    /// Something that only takes bytes.
    Into(Box<dyn Write>),
}

impl Unfinished {
    /// Begins a file for `path`.
    pub fn create(path: &Path) -> io::Result<Self> {
        let begun = begin(path).map_err(|e| named(path, e));
        begun.map(|(file, place)| Unfinished {
            out: BufWriter::new(file),
            place,
            path: path.to_owned(),
        })
    }

    /// Where what was written so far can be read before it is in its place; `None` if that place
    /// only takes bytes.
    pub fn content(&mut self) -> io::Result<Option<&Path>> {
        self.flush()?;
        Ok(match &self.place {
            Place::Instead(beside, ..) => Some(beside.path()),
            Place::Into(_) => None,
        })
    }

    /// Puts the content in its place, safely on the disk.
    pub fn commit(self) -> io::Result<()> {
        let path = self.path;
        let done = self.out.into_inner().map_err(|e| e.into_error());
        let done = done.and_then(|mut file| match self.place {
            Place::Instead(beside, target, _lock) => {
                file.sync_all()?;
                beside.finish(|beside| beside.persist(target).map_err(|e| e.error))
            }
            Place::Into(mut target) => {
                file.rewind()?;
                io::copy(&mut file, &mut target)?;
                target.flush()
            }
        });
        done.map_err(|e| named(&path, e))
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes).map_err(|e| named(&self.path, e))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush().map_err(|e| named(&self.path, e))
    }
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn begin(path: &Path) -> io::Result<(File, Place)> {
    let target = match target(path)? {
        Target::File(target) => target,
        Target::Stream(stream) => {
            return Ok((tempfile::tempfile()?, Place::Into(open(&stream)?)));
        }
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666)); // less what the mask takes away
    }
    let folder = folder_of(&target);
    leftovers::sweep(folder, PREFIX, SUFFIX);
    let mut held = None;
    let beside = Temporary::make(|| {
        let (made, lock) = leftovers::make(|| builder.tempfile_in(folder))?;
        let (file, beside) = made.into_parts();
        held = Some((file, lock));
        Ok(beside)
    })?;
    let (file, lock) = held.expect("made");
    if let Ok(old) = fs::metadata(&target) {
        file.set_permissions(old.permissions())?;
    }
    Ok((file, Place::Instead(beside, target, lock)))
}

/// What a path stands for when something is written there.
#[derive(Debug)]
pub enum Target {
    /// A regular file, or none yet: this path, with no link at its end.
    File(PathBuf),
    /// Something that takes bytes and keeps no file: a device, a pipe, a socket, a descriptor that
    /// is open already.
    Stream(PathBuf),
}

/// Follows links to what they name in the end.
pub fn target(path: &Path) -> io::Result<Target> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let name = path.file_name().ok_or(ErrorKind::InvalidFilename)?;
        let folder = folder_of(&path).canonicalize()?;
        let next = folder.join(name);
        if is_descriptors(&folder) {
            return Ok(Target::Stream(next));
        }
        match fs::symlink_metadata(&next).map(|found| found.file_type()) {
            Ok(kind) if kind.is_symlink() => path = folder.join(fs::read_link(&next)?),
            Ok(kind) if kind.is_dir() => return Err(ErrorKind::IsADirectory.into()),
            Ok(kind) if kind.is_file() => return Ok(Target::File(next)),
            Ok(_) => return Ok(Target::Stream(next)),
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Target::File(next)),
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::other("too many links, one behind the other"))
}

/// The folder a path lies in.
pub fn folder_of(path: &Path) -> &Path {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Linux's folder of the open descriptors of a process: `/dev/fd` and `/dev/stdout` lead there.
fn is_descriptors(folder: &Path) -> bool {
    folder.starts_with("/proc") && folder.ends_with("fd")
}

#[cfg(unix)]
fn open(path: &Path) -> io::Result<Box<dyn Write>> {
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileTypeExt;
    if is_descriptors(folder_of(path)) {
        let own = Path::new("/proc/self/fd").canonicalize()?;
        // The descriptor itself, so that what is printed and what is written follow each other.
        return Ok(Box::new(if path == own.join("1") {
            File::from(io::stdout().as_fd().try_clone_to_owned()?)
        } else if path == own.join("2") {
            File::from(io::stderr().as_fd().try_clone_to_owned()?)
        } else {
            OpenOptions::new().append(true).open(path)?
        }));
    }
    if fs::metadata(path)?.file_type().is_socket() {
        return Ok(Box::new(std::os::unix::net::UnixStream::connect(path)?));
    }
    Ok(Box::new(OpenOptions::new().write(true).open(path)?))
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<Box<dyn Write>> {
    Ok(Box::new(OpenOptions::new().write(true).open(path)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_content_and_no_rubbish() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let folder = folder.path();
        fs::create_dir(folder.join("taken")).expect("temporary folder");
        let path = folder.join("receipt.json");
        write(&path, b"one").expect("first");
        write(&path, b"two").expect("replaced");
        assert_eq!(fs::read(&path).expect("there"), b"two");
        assert!(write(&folder.join("taken"), b"a folder is in the way").is_err());
        let missing = write(&folder.join("missing/x"), b"no such folder").expect_err("no folder");
        assert!(missing.to_string().contains("missing/x"), "{missing}");
        let mut abandoned = Unfinished::create(&path).expect("begins");
        abandoned.write_all(b"three").expect("written beside");
        drop(abandoned);
        assert_eq!(fs::read(&path).expect("there"), b"two");
        fs::write(folder.join(".harness-x.part"), b"a killed run's").expect("written");
        write(&path, b"two").expect("replaced");
        let names = fs::read_dir(folder).expect("listed").count();
        assert_eq!(names, 2, "only the receipt and the folder in the way");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_keeps_its_mode_and_a_new_one_has_the_usual_one() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("temporary folder");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        let (usual, new) = (folder.path().join("usual"), folder.path().join("new"));
        fs::write(&usual, b"").expect("temporary file");
        write(&new, b"").expect("new");
        assert_eq!(mode(&new), mode(&usual));
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).expect("own file");
        write(&new, b"again").expect("replaced");
        assert_eq!(mode(&new), 0o600);
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_in_a_circle_lead_nowhere() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        std::os::unix::fs::symlink(&one, &two).expect("a link");
        std::os::unix::fs::symlink(&two, &one).expect("a link");
        let refused = write(&one, b"x").expect_err("a circle");
        assert!(
            refused.to_string().contains("one: too many links"),
            "{refused}"
        );
    }
}
