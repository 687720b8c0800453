//! `--last-failed`: which cases of a command failed when they were run last, kept in the cache for
//! each folder of fixtures. A run changes what is known of the cases it has run and of no other, so
//! one that is ended early loses nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{self, Path, PathBuf};

use ffi::reference::Cache;
use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure};
use crate::file::provenance::sha256;
use crate::io::{atomic, output};
use crate::judge::outcome::Outcome;
use crate::runner::subject::Spec;

/// The flag.
#[derive(clap::Args, Debug, Clone, Copy, Default)]
pub struct LastFailed {
    /// Only what diverged or failed when it was run last on these fixtures
    #[arg(long)]
    pub last_failed: bool,
}

impl LastFailed {
    /// Those of a list that failed; all where the flag was not typed.
    pub fn of<T>(
        self,
        last: &LastRun,
        all: Vec<T>,
        name: impl Fn(&T) -> String,
    ) -> Result<Vec<T>, Failure> {
        if !self.last_failed {
            return Ok(all);
        }
        let failed = last.failed()?;
        let kept = all.into_iter().filter(|one| failed.contains(&name(one)));
        let kept: Vec<T> = kept.collect();
        if kept.is_empty() {
            let failed = Vec::from_iter(failed.iter().map(String::as_str)).join(", ");
            return Err(Failure::input(format!(
                "--last-failed: what failed in the last run of {}, {failed}, is none of what is \
                 asked for",
                last.command
            )));
        }
        Ok(kept)
    }
}

/// What is known of the last runs of one command on one folder of fixtures, by the built-in engine
/// or by those that were brought.
pub struct LastRun {
    command: &'static str,
    about: PathBuf,
    /// Where it is kept; none where there is no cache.
    place: Option<PathBuf>,
    known: Option<Known>,
}

/// As it lies in a file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    command: String,
    fixtures: PathBuf,
    failed: BTreeSet<String>,
}

impl LastRun {
    /// Reads what is known; what cannot be read is not.
    pub fn of(command: &'static str, fixtures: &Path, brought: &[Spec]) -> Self {
        let about = path::absolute(fixtures).unwrap_or_else(|_| fixtures.to_owned());
        // A page in the browser is gone when it is closed, and nothing of it is kept.
        let kept = !cfg!(target_family = "wasm");
        let cache = Cache::from_environment().ok().filter(|_| kept);
        let place = cache.map(|cache| {
            let mut key = about.as_os_str().as_encoded_bytes().to_vec();
            for spec in brought {
                key.extend(format!("\0{spec}").into_bytes());
            }
            let key = sha256(&key);
            cache
                .last_runs()
                .join(format!("{command}-{}.json", &key[..16]))
        });
        let bytes = place.as_ref().and_then(|place| fs::read(place).ok());
        LastRun {
            command,
            about,
            place,
            known: bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()),
        }
    }

    /// The names of those that failed.
    fn failed(&self) -> Result<&BTreeSet<String>, Failure> {
        let (command, about) = (self.command, self.about.display().to_string());
        let about = if about.is_empty() {
            about
        } else {
            format!(" on {about}")
        };
        match &self.known {
            None => Err(Failure::input(format!(
                "--last-failed: there is no last run of {command}{about}; run it without this flag \
                 first"
            ))),
            Some(known) if known.failed.is_empty() => Err(Failure::input(format!(
                "--last-failed: nothing failed in the last run of {command}{about}, so there is \
                 nothing to repeat"
            ))),
            Some(known) => Ok(&known.failed),
        }
    }

    /// These were run, and ended so. A name that occurs several times failed if it did once.
    pub fn ended(&mut self, outcomes: impl IntoIterator<Item = (String, Outcome)>) {
        let mut known = self.known.clone().unwrap_or_else(|| Known {
            command: self.command.to_owned(),
            fixtures: self.about.clone(),
            failed: BTreeSet::new(),
        });
        let outcomes: Vec<(String, Outcome)> = outcomes.into_iter().collect();
        for (name, _) in &outcomes {
            known.failed.remove(name);
        }
        let failed = outcomes
            .into_iter()
            .filter(|(_, outcome)| outcome.exit() != Exit::Agrees);
        known.failed.extend(failed.map(|(name, _)| name));
        if self.known.as_ref() == Some(&known) {
            return;
        }
        let first = self.known.is_none();
        if let Err(failure) = self.keep(&known) {
            // One complaint is enough, and where nothing was ever kept nothing is lost.
            if !first {
                let flag = "--last-failed will not know of this run";
                output::tell(format!("warning: {flag}: {failure}"));
            }
        }
        self.known = Some(known);
    }

    fn keep(&self, known: &Known) -> Result<(), Failure> {
        let Some(place) = &self.place else {
            return Ok(());
        };
        let folder = atomic::folder_of(place);
        fs::create_dir_all(folder).map_err(Failure::environment)?;
        if self.known.is_none() {
            forget_gone(folder);
        }
        let text = output::to_json(known)?;
        atomic::write(place, text.as_bytes()).map_err(Failure::environment)
    }
}

/// Removes what is known of folders of fixtures that are there no longer.
fn forget_gone(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let bytes = fs::read(entry.path()).unwrap_or_default();
        let known = serde_json::from_slice::<Known>(&bytes);
        if known
            .is_ok_and(|known| !known.fixtures.as_os_str().is_empty() && !known.fixtures.exists())
        {
            // Whoever removes it first is right; it is looked for again the next time.
            let _ = fs::remove_file(entry.path());
        }
    }
}
