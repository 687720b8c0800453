//! The hash a server knows a file by: SHA-256 of large ones, git's SHA-1 of others.

use std::fs::File;
use std::io::{self, Read};

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// Content hashed as it comes.
pub enum Digest {
    /// Of files in large-file storage.
    Sha256(Sha256),
    /// Of files that git itself keeps.
    Git(Sha1),
}

impl Digest {
    /// For content of `size` bytes that is known as `etag`; `None` if that is neither hash.
    pub fn of(etag: &str, size: u64) -> Option<Self> {
        if !etag.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        match etag.len() {
            64 => Some(Digest::Sha256(Sha256::new())),
            40 => {
                let head = format!("blob {size}\0");
                Some(Digest::Git(Sha1::new_with_prefix(head)))
            }
            _ => None,
        }
    }

    /// More of it.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Digest::Sha256(digest) => digest.update(bytes),
            Digest::Git(digest) => digest.update(bytes),
        }
    }

    /// All of what a file holds.
    pub fn read(&mut self, file: &mut File) -> io::Result<u64> {
        let mut buffer = vec![0; 1 << 16];
        let mut total = 0;
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return Ok(total);
            }
            self.update(&buffer[..read]);
            total += read as u64;
        }
    }

    /// In the letters of an etag.
    pub fn finish(self) -> String {
        let bytes = match self {
            Digest::Sha256(digest) => digest.finalize().to_vec(),
            Digest::Git(digest) => digest.finalize().to_vec(),
        };
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_hashes() {
        let hash = |etag: &str, bytes: &[u8]| {
            let mut digest = Digest::of(etag, bytes.len() as u64).expect("a hash");
            digest.update(bytes);
            digest.finish()
        };
        // `printf hello | git hash-object --stdin`, and `sha256sum`.
        let git = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0";
        let sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        assert_eq!(hash(git, b"hello"), git);
        assert_eq!(hash(sha256, b"hello"), sha256);
        assert!(Digest::of("../../etc/passwd", 1).is_none());
        assert!(Digest::of("abc", 1).is_none());
    }
}
