//! The folder of `huggingface_hub`: who fetched a file once has it for every program.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Repository;
use crate::exit::Failure;
use crate::io::atomic;

/// Where repositories are kept.
#[derive(Debug, Clone)]
pub struct Cache(PathBuf);

impl Cache {
    /// `$HF_HUB_CACHE`, else `hub` below `$HF_HOME`, else below `~/.cache/huggingface`; Windows
    /// calls that place `%USERPROFILE%`.
    pub fn from_environment() -> Result<Self, Failure> {
        if let Some(cache) = set("HF_HUB_CACHE") {
            return Ok(Cache(cache.into()));
        }
        let home = home().ok_or_else(|| {
            Failure::environment("there is no place for a cache: neither HF_HOME nor HOME is set")
        })?;
        Ok(Cache(home.join("hub")))
    }

    /// The folder of a commit.
    pub fn snapshot(&self, id: &str, commit: &str) -> PathBuf {
        self.repository(id).join("snapshots").join(commit)
    }

    /// The place of content that is known by that hash.
    pub fn blob(&self, id: &str, etag: &str) -> PathBuf {
        self.repository(id).join("blobs").join(etag)
    }

    /// Lets a name of a commit lead to content.
    pub fn link(&self, repository: &Repository, file: &str, etag: &str) -> Result<(), Failure> {
        let snapshot = self.snapshot(&repository.id, &repository.revision);
        let place = snapshot.join(file);
        let folder = place.parent().expect("it has a name");
        create(folder)?;
        // From the folder of the file up to the repository, and down again.
        let up = "../".repeat(2 + file.matches('/').count());
        let target = PathBuf::from(format!("{up}blobs/{etag}"));
        let there = fs::read_link(&place).ok();
        if there.as_ref() == Some(&target) {
            return Ok(());
        }
        let done = if fs::symlink_metadata(&place).is_ok() {
            fs::remove_file(&place)
        } else {
            Ok(())
        };
        done.and_then(|()| lead(&target, &place, &self.blob(&repository.id, etag)))
            .map_err(|e| cannot(&place, e))
    }

    /// What a revision means now.
    pub fn remember(&self, repository: &Repository, commit: &str) -> Result<(), Failure> {
        if repository.revision == commit {
            return Ok(());
        }
        let place = self.reference(repository);
        create(place.parent().expect("it has a name"))?;
        atomic::write(&place, commit.as_bytes()).map_err(Failure::environment)
    }

    /// What it meant when it was last asked for.
    pub fn commit(&self, repository: &Repository) -> Result<String, Failure> {
        if let Ok(commit) = fs::read_to_string(self.reference(repository)) {
            return Ok(commit.trim().to_owned());
        }
        let revision = &repository.revision;
        if self.snapshot(&repository.id, revision).is_dir() {
            return Ok(revision.clone());
        }
        Err(Failure::environment(format!(
            "{} at {revision} was never fetched to {}, and nothing is fetched offline",
            repository.id,
            self.0.display()
        )))
    }

    /// The files of a snapshot that are whole, with slashes on every platform.
    pub fn files(&self, snapshot: &Path) -> Vec<String> {
        let mut files = Vec::new();
        let mut open = vec![(snapshot.to_owned(), String::new())];
        while let Some((folder, before)) = open.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = format!("{before}{}", entry.file_name().to_string_lossy());
                let path = entry.path();
                if path.is_dir() {
                    open.push((path, name + "/"));
                } else if path.is_file() {
                    files.push(name);
                }
            }
        }
        files.sort();
        files
    }

    fn repository(&self, id: &str) -> PathBuf {
        self.0.join(format!("models--{}", id.replace('/', "--")))
    }

    fn reference(&self, repository: &Repository) -> PathBuf {
        let folder = self.repository(&repository.id).join("refs");
        folder.join(&repository.revision)
    }
}

/// The token that opens repositories which are not public.
pub fn token() -> Option<String> {
    let file = || fs::read_to_string(home()?.join("token")).ok();
    let token = std::env::var("HF_TOKEN").ok().or_else(file)?;
    let token = token.trim();
    (!token.is_empty()).then(|| token.to_owned())
}

fn home() -> Option<PathBuf> {
    let below = |home: std::ffi::OsString| Path::new(&home).join(".cache/huggingface");
    let user = || set("HOME").or_else(|| set("USERPROFILE"));
    set("HF_HOME")
        .map(PathBuf::from)
        .or_else(|| user().map(below))
}

fn set(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

pub(super) fn create(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|e| cannot(folder, e))
}

pub(super) fn cannot(path: &Path, error: io::Error) -> Failure {
    Failure::environment(format!("{}: {error}", path.display()))
}

#[cfg(unix)]
fn lead(target: &Path, place: &Path, _: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, place)
}

/// Where links need rights, the content is there twice.
#[cfg(not(unix))]
fn lead(_: &Path, place: &Path, blob: &Path) -> io::Result<()> {
    fs::copy(blob, place).map(drop)
}
