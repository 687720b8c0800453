//! Temporary files and folders that outlive whoever made them, and how the next one removes them.
//!
//! The maker holds a lock on what it made, which the system releases however the maker ends. What
//! carries our name and no lock is nobody's any more.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::path::Path;

/// Names that turn out to be taken away before they are locked, before that is an error.
const ATTEMPTS: usize = 8;

/// Keeps what was made from being removed by others, as long as it lives.
#[derive(Debug)]
#[must_use]
pub struct Lock(Option<File>);

/// Makes something temporary that is not removed while the lock is held. `make` takes a new name
/// each time it is called.
pub fn make<T: AsRef<Path>>(mut make: impl FnMut() -> io::Result<T>) -> io::Result<(T, Lock)> {
    for _ in 0..ATTEMPTS {
        let made = make()?;
        if let Some(lock) = lock(made.as_ref())? {
            return Ok((made, lock));
        }
    }
    Err(io::Error::other(
        "temporary files are removed as they are made",
    ))
}

/// Removes what lies in `folder` under a name that begins and ends so, if it is nobody's. Whatever
/// cannot be removed stays.
pub fn sweep(folder: &Path, begins: &str, ends: &str) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kind = entry.file_type();
        let plain = kind.is_ok_and(|kind| kind.is_file() || kind.is_dir());
        if !plain || !name.starts_with(begins) || !name.ends_with(ends) {
            continue;
        }
        let path = entry.path();
        if let Ok(Some(Lock(Some(_held)))) = lock(&path) {
            let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
        }
    }
}

/// A lock on what is there; nothing if another process holds it or it is there no longer.
#[cfg(unix)]
fn lock(path: &Path) -> io::Result<Option<Lock>> {
    use std::fs::TryLockError;
    use std::os::unix::fs::MetadataExt;
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        // A file system without locks: there, nothing is removed and nothing has to be held.
        Err(TryLockError::Error(_)) => return Ok(Some(Lock(None))),
    }
    let held = file.metadata()?;
    // Between the name and the lock, another process may have removed it.
    let same = std::fs::symlink_metadata(path).is_ok_and(|now| now.ino() == held.ino());
    Ok(same.then_some(Lock(Some(file))))
}

/// Elsewhere a lock keeps others from reading, so there is none.
#[cfg(not(unix))]
fn lock(_: &Path) -> io::Result<Option<Lock>> {
    Ok(Some(Lock(None)))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_stays_and_what_is_nobodys_goes() {
        let folder = tempfile::tempdir().unwrap();
        let named = |name: &str| folder.path().join(name);
        std::fs::write(named("x-file.part"), "left behind").unwrap();
        std::fs::create_dir(named("x-folder.part")).unwrap();
        std::fs::write(named("x-folder.part/inside"), "").unwrap();
        std::fs::write(named("another.part"), "").unwrap();
        std::fs::write(named("x-file.json"), "").unwrap();
        std::os::unix::fs::symlink(named("another.part"), named("x-link.part")).unwrap();
        let (file, lock) = make(|| {
            let path = named("x-held.part");
            std::fs::write(&path, "in use").map(|()| path)
        })
        .unwrap();
        let left = || {
            let all = folder.path().read_dir().unwrap();
            let mut all: Vec<_> = all.map(|e| e.unwrap().file_name()).collect();
            all.sort();
            all
        };
        sweep(folder.path(), "x-", ".part");
        assert_eq!(
            left(),
            ["another.part", "x-file.json", "x-held.part", "x-link.part"]
        );
        drop(lock);
        sweep(folder.path(), "x-", ".part");
        assert!(!file.exists());
    }

    #[test]
    fn what_was_removed_before_it_was_locked_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut number = 0;
        let (made, _lock) = make(|| {
            number += 1;
            let path = folder.path().join(format!("{number}"));
            if number == 3 {
                std::fs::write(&path, "")?;
            }
            Ok(path)
        })
        .unwrap();
        assert!(made.ends_with("3"));
        let gone = make(|| Ok(folder.path().join("never")));
        assert!(gone.is_err());
    }
}
