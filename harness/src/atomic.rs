//! Files that appear whole or not at all: written beside their place, then renamed into it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Replaces `path` by `bytes`. A reader sees the old content or the new, never a part.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path
        .file_name()
        .ok_or(io::ErrorKind::InvalidFilename)?
        .to_string_lossy();
    let unfinished = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
    let written = File::create(&unfinished).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| fs::rename(&unfinished, path));
    if renamed.is_err() {
        // The error that matters is the first one; a leftover is removed as well as we can.
        let _ = fs::remove_file(&unfinished);
    }
    renamed.map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_failed_write_leaves_the_old_content_and_no_rubbish() {
        let folder = std::env::temp_dir().join(format!("atomic-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("taken")).expect("temporary folder");
        let path = folder.join("receipt.json");
        super::write(&path, b"one").expect("first");
        super::write(&path, b"two").expect("replaced");
        assert_eq!(std::fs::read(&path).expect("there"), b"two");
        assert!(super::write(&folder.join("taken"), b"a folder is in the way").is_err());
        assert!(super::write(&folder.join("missing/x"), b"no such folder").is_err());
        let names = std::fs::read_dir(&folder).expect("listed").count();
        assert_eq!(names, 2, "only the receipt and the folder in the way");
        std::fs::remove_dir_all(&folder).expect("temporary folder");
    }
}
