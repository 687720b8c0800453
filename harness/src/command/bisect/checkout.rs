//! A user's git checkout, whose commits are built in a clone: the checkout itself is only read.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::exit::Failure;
use crate::oracle::bisect::Build;

/// Lines of a failed build that are shown.
const SHOWN: usize = 5;
/// How much of a commit's name is shown.
const SHORT: usize = 10;

/// A clone, and the commits that may be built in it.
pub struct Checkout {
    clone: TempDir,
    /// What builds one; without it a reference's own build does.
    run: Option<String>,
    /// Name and subject, the good one first.
    commits: Vec<(String, String)>,
}

impl Checkout {
    /// Clones a checkout; the commits are those on the first parents from the good one to the bad.
    pub fn clone(
        checkout: &Path,
        good: &str,
        bad: &str,
        run: Option<&str>,
    ) -> Result<Self, Failure> {
        let place = checkout.display().to_string();
        let wrong = |why: String| Failure::input(format!("{place}: {why}"));
        let git = |words: &[&str]| git(checkout, words).map_err(wrong);
        let commit = |name: &str| {
            let named = format!("{name}^{{commit}}");
            git(&["rev-parse", "--verify", "--end-of-options", &named])
        };
        let (good, bad) = (commit(good)?, commit(bad)?);
        let range = format!("{good}..{bad}");
        let words = [
            "log",
            "--first-parent",
            "--reverse",
            "--format=%H %s",
            &range,
        ];
        let log = git(&words)?;
        let mut commits = vec![(good.clone(), "good".to_owned())];
        let lines = log.lines().filter_map(|line| line.split_once(' '));
        commits.extend(lines.map(|(hash, subject)| (hash.to_owned(), subject.to_owned())));
        if commits.len() < 2 || git(&["merge-base", &good, &bad])? != good {
            return Err(wrong(format!("{bad} does not come after {good}")));
        }
        let clone = tempfile::tempdir().map_err(Failure::environment)?;
        let to = clone.path().to_string_lossy().into_owned();
        git(&["clone", "--quiet", "--shared", "--no-checkout", ".", &to])?;
        Ok(Checkout {
            clone,
            run: run.map(str::to_owned),
            commits,
        })
    }

    /// The commits.
    pub fn builds(&self) -> Vec<Build> {
        let build = |(hash, subject): &(String, String)| Build {
            name: format!("{} {subject}", &hash[..SHORT.min(hash.len())]),
            key: hash.clone(),
        };
        self.commits.iter().map(build).collect()
    }

    /// Builds one; the folder in which its library is, until the next one is built.
    pub fn build(&self, commit: &str) -> Result<PathBuf, String> {
        let folder = self.clone.path();
        git(
            folder,
            &["checkout", "--quiet", "--force", "--detach", commit],
        )?;
        if let Some(run) = &self.run {
            ended(
                "the build",
                Command::new("sh").args(["-c", run]).current_dir(folder),
            )?;
        }
        Ok(folder.to_owned())
    }
}

fn git(folder: &Path, words: &[&str]) -> Result<String, String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(words);
    let said = ended("git", &mut command)?;
    Ok(said.trim_end().to_owned())
}

/// Runs it to its end; what it said, or its last words.
fn ended(who: &str, command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|e| format!("{who} could not be started: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().collect();
    let last = lines[lines.len().saturating_sub(SHOWN)..].join("; ");
    Err(format!("{who} ended with {}: {last}", output.status))
}
