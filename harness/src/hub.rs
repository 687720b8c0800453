//! Files of a Hugging Face repository, fetched once and kept where every program looks for them.
//!
//! The cache is laid out as `huggingface_hub` lays it out: content under its hash in `blobs/`,
//! names that lead there in `snapshots/COMMIT/`, what a branch means in `refs/`. What was begun is
//! gone on with; what has another hash than the server says is thrown away.
#![forbid(unsafe_code)]

mod cache;
mod client;
mod digest;
mod download;

use std::path::PathBuf;

use crate::exit::Failure;

pub use cache::Cache;
pub use client::Client;

/// A repository of models at some revision.
#[derive(Debug, Clone)]
pub struct Repository {
    /// `OWNER/NAME`
    pub id: String,
    /// A branch, a tag or a commit.
    pub revision: String,
}

/// What was fetched, or was there already.
#[derive(Debug)]
pub struct Fetched {
    /// The folder that holds the files under their names.
    pub folder: PathBuf,
    /// The commit they are of; a branch means another one tomorrow.
    pub commit: String,
    /// The files in it that were asked for.
    pub files: Vec<String>,
    /// Bytes that came over the network.
    pub received: u64,
}

/// Files that say what a model is, by the end of their names; weights come with them.
const DESCRIBING: [&str; 5] = [
    ".json",
    ".safetensors",
    ".jinja",
    "tokenizer.model",
    "LICENSE",
];

impl Repository {
    /// Checks the name, which becomes part of paths.
    pub fn new(id: &str, revision: &str) -> Result<Self, Failure> {
        let part = |part: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !part.is_empty() && part.chars().all(plain) && !part.starts_with('.')
        };
        let mut parts = id.split('/');
        let named = parts.clone().count() == 2 && parts.all(part);
        if !named {
            return Err(Failure::input(format!(
                "{id:?} names no repository: expected OWNER/NAME"
            )));
        }
        if revision.is_empty() || !revision.split('/').all(part) {
            return Err(Failure::input(format!("{revision:?} is no revision")));
        }
        Ok(Repository {
            id: id.to_owned(),
            revision: revision.to_owned(),
        })
    }

    /// Fetches those files; of none the ones that a model consists of.
    pub fn fetch(
        &self,
        client: &Client,
        cache: &Cache,
        files: &[String],
    ) -> Result<Fetched, Failure> {
        for file in files {
            check_path(file)?;
        }
        let listing = client.list(self)?;
        let files = if files.is_empty() {
            chosen(&listing.files)?
        } else {
            files.to_vec()
        };
        let pinned = Repository {
            revision: listing.commit.clone(),
            ..self.clone()
        };
        let mut received = 0;
        for file in &files {
            received += download::fetch(client, cache, &pinned, file)?;
        }
        cache.remember(self, &listing.commit)?;
        Ok(Fetched {
            folder: cache.snapshot(&self.id, &listing.commit),
            commit: listing.commit,
            files,
            received,
        })
    }

    /// What an earlier fetch left, without asking any server.
    pub fn kept(&self, cache: &Cache, files: &[String]) -> Result<Fetched, Failure> {
        let commit = cache.commit(self)?;
        let folder = cache.snapshot(&self.id, &commit);
        let kept = cache.files(&folder);
        let files = if files.is_empty() { &kept } else { files };
        if let Some(missing) = files.iter().find(|file| !kept.contains(file)) {
            return Err(Failure::environment(format!(
                "{missing} of {} was never fetched, and nothing is fetched offline",
                self.id
            )));
        }
        Ok(Fetched {
            folder,
            commit,
            files: files.to_vec(),
            received: 0,
        })
    }
}

/// A path inside a repository, which may lead nowhere else.
fn check_path(file: &str) -> Result<(), Failure> {
    let part = |part: &str| !["", ".", ".."].contains(&part) && !part.contains(['\\', '\0', ':']);
    if file.split('/').all(part) {
        return Ok(());
    }
    let message = format!("{file:?} is no path inside a repository");
    Err(Failure::input(message))
}

/// What a model consists of: a checkpoint with everything that describes it, or the only GGUF file.
fn chosen(all: &[String]) -> Result<Vec<String>, Failure> {
    let of = |ends: &[&str]| -> Vec<String> {
        let fits = |file: &&String| !file.contains('/') && ends.iter().any(|e| file.ends_with(e));
        all.iter().filter(fits).cloned().collect()
    };
    let models = of(&[".gguf"]);
    match (&models[..], of(&[".safetensors"]).is_empty()) {
        (_, false) => Ok(of(&DESCRIBING)),
        ([one], true) => Ok(vec![one.clone()]),
        ([], true) => Err(Failure::input(
            "the repository has neither safetensors nor a GGUF file: name files with --file",
        )),
        _ => {
            let names = models.join(", ");
            let message = format!("several models, name one with --file: {names}");
            Err(Failure::input(message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for id in ["one", "a/b/c", "../x", "a/..", "a/", "/a", "a/b c"] {
            assert!(Repository::new(id, "main").is_err(), "{id}");
        }
        assert!(Repository::new("a/b", "../main").is_err());
        assert!(Repository::new("microsoft/bitnet-b1.58-2B-4T", "refs/pr/1").is_ok());
        for path in ["../x", "/etc/x", "a//b", "a/./b", "c:x", "a\\b"] {
            assert!(check_path(path).is_err(), "{path}");
        }
        assert!(check_path("onnx/model.json").is_ok());
    }

    #[test]
    fn a_checkpoint_comes_with_what_describes_it_and_one_of_several_models_is_asked_for() {
        let files = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        let all = [
            "README.md",
            "config.json",
            "model.safetensors",
            "onnx/config.json",
            "x.bin",
        ];
        let expected = files(&["config.json", "model.safetensors"]);
        assert_eq!(chosen(&files(&all)).expect("a checkpoint"), expected);
        assert_eq!(
            chosen(&files(&["a.gguf", "b"])).expect("one"),
            files(&["a.gguf"])
        );
        let several = chosen(&files(&["a.gguf", "b.gguf"])).expect_err("which one?");
        assert!(several.message.contains("a.gguf, b.gguf"), "{several}");
        assert!(chosen(&files(&["README.md"])).is_err());
    }
}
