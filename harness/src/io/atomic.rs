//! Files that appear whole or not at all: written beside their place, then renamed into it.
#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Replaces `path` by `bytes`. A reader sees the old content or the new, never a part.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = Unfinished::create(path)?;
    file.write_all(bytes)
        .and_then(|()| file.out.flush())
        .map_err(|e| file.named(e))?;
    file.commit()
}

/// A file that is not in its place yet. Dropped without [`Unfinished::commit`], it was never there.
pub struct Unfinished {
    out: BufWriter<File>,
    beside: PathBuf,
    path: PathBuf,
    committed: bool,
}

impl Unfinished {
    /// Begins a file beside `path`.
    pub fn create(path: &Path) -> io::Result<Self> {
        let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
        let name = path
            .file_name()
            .ok_or_else(|| named(io::ErrorKind::InvalidFilename.into()))?;
        let name = name.to_string_lossy();
        let beside = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
        let file = File::create(&beside).map_err(named)?;
        Ok(Unfinished {
            out: BufWriter::new(file),
            beside,
            path: path.to_owned(),
            committed: false,
        })
    }

    /// Puts the file in its place, safely on the disk.
    pub fn commit(mut self) -> io::Result<()> {
        let done = self
            .out
            .flush()
            .and_then(|()| self.out.get_ref().sync_all())
            .and_then(|()| fs::rename(&self.beside, &self.path));
        self.committed = done.is_ok();
        done.map_err(|e| self.named(e))
    }

    fn named(&self, error: io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.committed {
            // Whatever went wrong was reported where it did; this is only to leave no rubbish.
            let _ = fs::remove_file(&self.beside);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_content_and_no_rubbish() {
        let folder = std::env::temp_dir().join(format!("atomic-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("taken")).expect("temporary folder");
        let path = folder.join("receipt.json");
        write(&path, b"one").expect("first");
        write(&path, b"two").expect("replaced");
        assert_eq!(std::fs::read(&path).expect("there"), b"two");
        assert!(write(&folder.join("taken"), b"a folder is in the way").is_err());
        let missing = write(&folder.join("missing/x"), b"no such folder").expect_err("no folder");
        assert!(missing.to_string().contains("missing/x"), "{missing}");
        let mut abandoned = Unfinished::create(&path).expect("begins");
        abandoned.write_all(b"three").expect("written beside");
        drop(abandoned);
        assert_eq!(std::fs::read(&path).expect("there"), b"two");
        let names = std::fs::read_dir(&folder).expect("listed").count();
        assert_eq!(names, 2, "only the receipt and the folder in the way");
        std::fs::remove_dir_all(&folder).expect("temporary folder");
    }
}
