//! One file: begun, gone on with after every interruption, and in its place when it is whole and
//! has the hash the server says.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use indicatif::ProgressBar;
use ureq::Body;

use super::cache::{cannot, create};
use super::client::{ATTEMPTS, About, Client};
use super::digest::Digest;
use super::{Cache, Repository};
use crate::exit::{Exit, Failure};
use crate::io::progress;

/// Fetches it, if it is not there. Returns the bytes that came over the network.
pub fn fetch(
    client: &Client,
    cache: &Cache,
    repository: &Repository,
    file: &str,
) -> Result<u64, Failure> {
    let about = client.about(repository, file)?;
    if Digest::of(&about.etag, about.size).is_none() {
        let message = format!("{file}: {:?} is no hash, so nothing proves it", about.etag);
        return Err(Failure::environment(message));
    }
    let blob = cache.blob(&repository.id, &about.etag);
    let is_whole = || fs::metadata(&blob).is_ok_and(|there| there.len() == about.size);
    let mut received = 0;
    if !is_whole() {
        let begun = blob.with_added_extension("incomplete");
        create(blob.parent().expect("it has a folder"))?;
        let part = begin(&begun)?;
        // Another program may have finished it while this one waited.
        if !is_whole() {
            let mut download = Download {
                client,
                repository,
                file,
                about: &about,
                part,
                path: &begun,
            };
            received = download.run()?;
            fs::rename(&begun, &blob).map_err(|e| cannot(&blob, e))?;
        }
    }
    cache.link(repository, file, &about.etag)?;
    Ok(received)
}

/// What there is of it, for this program alone: two that fetch the same wait for each other.
fn begin(path: &Path) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let part = options.open(path).map_err(|e| cannot(path, e))?;
    part.lock().map_err(|e| cannot(path, e))?;
    Ok(part)
}

struct Download<'a> {
    client: &'a Client,
    repository: &'a Repository,
    file: &'a str,
    about: &'a About,
    part: File,
    path: &'a Path,
}

impl Download<'_> {
    /// Until it is whole; then its hash decides.
    fn run(&mut self) -> Result<u64, Failure> {
        let bar = progress::bar(self.about.size, self.file);
        let mut received = 0;
        let mut in_vain = 0;
        loop {
            let have = self.len()?;
            bar.set_position(have);
            if have == self.about.size {
                break;
            }
            let came = self.more(have, &bar)?;
            received += came;
            // Whatever comes before a connection is cut was not in vain.
            in_vain = if came > 0 { 0 } else { in_vain + 1 };
            if in_vain == ATTEMPTS {
                let (file, size) = (self.file, self.about.size);
                return Err(Failure::environment(format!(
                    "{file}: {have} of {size} bytes, and {in_vain} attempts brought no more; what \
                     is there is kept, and the next fetch goes on"
                )));
            }
        }
        bar.finish_and_clear();
        self.check()?;
        Ok(received)
    }

    /// What comes in one piece. A server that sends more than it said sends something else.
    fn more(&mut self, have: u64, bar: &ProgressBar) -> Result<u64, Failure> {
        let from = if have > self.about.size { 0 } else { have };
        let (begins, body) = self.client.content(self.repository, self.file, from)?;
        if begins > have {
            let message = format!("{}: asked from byte {from}, sent from {begins}", self.file);
            return Err(Failure::environment(message));
        }
        self.seek(begins)?;
        self.receive(body, self.about.size - begins, bar)
    }

    fn receive(&mut self, body: Body, most: u64, bar: &ProgressBar) -> Result<u64, Failure> {
        let mut reader = body.into_reader().take(most);
        let mut buffer = vec![0; 1 << 16];
        let mut came = 0;
        loop {
            // A connection that is cut is gone on with, so why does not matter.
            let read = reader.read(&mut buffer).unwrap_or(0);
            if read == 0 {
                return Ok(came);
            }
            let written = self.part.write_all(&buffer[..read]);
            written.map_err(|e| cannot(self.path, e))?;
            came += read as u64;
            bar.inc(read as u64);
        }
    }

    /// What is not what the server says it is may not stay.
    fn check(&mut self) -> Result<(), Failure> {
        let About { etag, size } = self.about;
        let mut digest = Digest::of(etag, *size).expect("looked at before");
        let start = self.part.seek(SeekFrom::Start(0));
        let hashed = start.and_then(|_| digest.read(&mut self.part));
        hashed.map_err(|e| cannot(self.path, e))?;
        let found = digest.finish();
        if found == *etag {
            return self.part.sync_all().map_err(|e| cannot(self.path, e));
        }
        fs::remove_file(self.path).map_err(|e| cannot(self.path, e))?;
        let file = self.file;
        let message = format!("{file}: hash {found}, and the server says {etag}; thrown away");
        Err(Failure::new(Exit::Diverges, message))
    }

    fn len(&self) -> Result<u64, Failure> {
        let metadata = self.part.metadata();
        metadata.map(|m| m.len()).map_err(|e| cannot(self.path, e))
    }

    /// Continues at that byte, without what lies behind it.
    fn seek(&mut self, at: u64) -> Result<(), Failure> {
        let cut = self.part.set_len(at);
        let moved = cut.and_then(|()| self.part.seek(SeekFrom::Start(at)));
        moved.map(drop).map_err(|e| cannot(self.path, e))
    }
}
