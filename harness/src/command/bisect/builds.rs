//! Where the builds come from: two references, a folder of builds, the commits of a checkout.

use std::path::Path;

use ffi::reference::{Spec, Tree};

use super::checkout::Checkout;
use crate::exit::Failure;
use crate::file::provenance::{Input, file_name, sha256};
use crate::file::reading::Reading;
use crate::oracle::bisect::Build;
use crate::reference;
use crate::reference::isolation::Limits;
use crate::runner::Runner;
use crate::runner::reference::Observing;

/// The builds, in their order, and how one of them is opened.
pub struct Source {
    kind: Kind,
    limits: Limits,
}

enum Kind {
    /// References by name or directory, the name being also what is opened.
    Named(Vec<String>),
    /// Commits, the good one first.
    Commits(Checkout),
}

impl Source {
    /// Two references, with nothing between them.
    pub fn pair(good: &str, bad: &str, limits: Limits) -> Self {
        let kind = Kind::Named(vec![good.to_owned(), bad.to_owned()]);
        Source { kind, limits }
    }

    /// The builds below a folder from one name to another.
    pub fn folder(folder: &Path, good: &str, bad: &str, limits: Limits) -> Result<Self, Failure> {
        let place = folder.display();
        let wrong = |why: String| Failure::input(format!("{place}: {why}"));
        let entries = std::fs::read_dir(folder).map_err(|e| wrong(e.to_string()))?;
        let entries = entries.collect::<Result<Vec<_>, _>>();
        let mut names: Vec<String> = entries
            .map_err(|e| wrong(e.to_string()))?
            .iter()
            .filter(|entry| entry.path().is_dir())
            .map(|entry| file_name(&entry.path()))
            .collect();
        names.sort_by_key(|name| in_order(name));
        let at = |name: &str| {
            let found = names.iter().position(|known| known == name);
            found.ok_or_else(|| wrong(format!("no build {name:?}; there are {}", names.join(", "))))
        };
        let (first, last) = (at(good)?, at(bad)?);
        if first >= last {
            return Err(wrong(format!("{bad} does not come after {good}")));
        }
        let paths = names[first..=last].iter().map(|name| folder.join(name));
        let paths = paths.map(|path| path.to_string_lossy().into_owned());
        let kind = Kind::Named(paths.collect());
        Ok(Source { kind, limits })
    }

    /// The commits of a checkout from one to another.
    pub fn checkout(
        checkout: &Path,
        good: &str,
        bad: &str,
        run: Option<&str>,
        limits: Limits,
    ) -> Result<Self, Failure> {
        let kind = Kind::Commits(Checkout::clone(checkout, good, bad, run)?);
        Ok(Source { kind, limits })
    }

    /// All of them, the good one first.
    pub fn builds(&self) -> Result<Vec<Build>, Failure> {
        match &self.kind {
            Kind::Commits(checkout) => Ok(checkout.builds()),
            Kind::Named(names) => {
                let builds: Vec<Build> = names.iter().map(|name| named(name)).collect();
                let (first, last) = (builds.first(), builds.last());
                if first.map(|build| &build.key) == last.map(|build| &build.key) {
                    let name = &builds[0].name;
                    return Err(Failure::input(format!(
                        "--good and --bad are the same build, {name}: it would confirm itself"
                    )));
                }
                Ok(builds)
            }
        }
    }

    /// A runner of one, in a process of its own, which reads the file so.
    pub fn open(&self, build: &Build, reading: Reading) -> Result<Box<dyn Runner>, String> {
        let place = match &self.kind {
            Kind::Named(_) => build.name.clone(),
            Kind::Commits(checkout) => {
                let built = checkout.build(&build.key)?;
                built.to_string_lossy().into_owned()
            }
        };
        let opened = reference::open_some(&[place], self.limits);
        let opened = opened.map_err(|failure| failure.message)?;
        let mut runners = opened
            .into_iter()
            .map(|one| Observing::new(one).reading(reading));
        let runner = runners.next().ok_or("there is no library in it")?;
        Ok(Box::new(runner))
    }
}

/// What is at hand of a reference without opening it: the bytes of its libraries.
fn named(name: &str) -> Build {
    let hashes = || {
        let Ok(Spec::Directory(dir)) = Spec::parse(name) else {
            return None;
        };
        let tree = Tree::find(&dir).ok()?;
        let hash = |path: &Path| Input::read(path).ok().map(|(input, _)| input.sha256);
        let hashes: Option<Vec<String>> = tree.libraries().map(hash).collect();
        Some(sha256(hashes?.concat().as_bytes()))
    };
    Build {
        name: name.to_owned(),
        key: hashes().unwrap_or_else(|| name.to_owned()),
    }
}

/// Letters as they are, numbers by their value: `b9` comes before `b10`.
fn in_order(name: &str) -> Vec<(u64, String)> {
    let mut parts = vec![(0, String::new())];
    let mut digits = String::new();
    for c in name.chars().chain([' ']) {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        if !digits.is_empty() {
            // A number too long to be one is a hash, and stays as it is written.
            let text = std::mem::take(&mut digits);
            parts.push((text.parse().unwrap_or(u64::MAX), String::new()));
        }
        parts.last_mut().expect("never empty").1.push(c);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_stand_in_the_order_people_number_them() {
        let mut names = ["b10", "b9", "b9-rc2", "b100", "a1", "b9-rc10"];
        names.sort_by_key(|name| in_order(name));
        assert_eq!(names, ["a1", "b9", "b9-rc2", "b9-rc10", "b10", "b100"]);
    }

    #[test]
    fn a_folder_without_the_two_builds_is_refused_with_those_it_has() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["b1", "b2", "b10"] {
            std::fs::create_dir(folder.path().join(name)).expect("made");
        }
        let refused = |good: &str, bad: &str| {
            let source = Source::folder(folder.path(), good, bad, Limits::default());
            source
                .err()
                .map(|failure| failure.message)
                .unwrap_or_default()
        };
        assert!(refused("b1", "b3").contains("there are b1, b2, b10"));
        assert!(refused("b10", "b2").contains("b2 does not come after b10"));
        assert_eq!(refused("b2", "b10"), "");
    }
}
