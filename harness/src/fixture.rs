//! The committed inputs: verified against their checksums and, where this program makes them,
//! against what it would make today.
#![forbid(unsafe_code)]

pub(crate) mod big;
pub mod built_in;
pub mod checkpoint;
pub(crate) mod edges;
pub mod knife_edges;
mod models;
pub mod qk256;
pub mod random;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::exit::Failure;
use crate::file::provenance;
use crate::io::atomic;

/// The list every folder of fixtures carries, in the format of `sha256sum`.
const LIST: &str = "checksums.txt";
/// Prose may change without anybody's numbers changing.
const PROSE: &str = "README.md";
/// What waits for a person to look at it, and is no fixture yet.
pub const PENDING: &str = "pending";

/// A file this program makes: its path below the fixtures folder and its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Generated {
    pub path: String,
    pub bytes: Vec<u8>,
}

/// What is wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "problem")]
pub(crate) enum Problem {
    /// A folder of fixtures has no list.
    NoList,
    /// Listed or made by this program, but not there.
    Missing,
    /// There, but not listed.
    Unlisted,
    /// It could not be looked at.
    Unreadable { why: String },
    /// The hash is another.
    Changed { listed: String, found: String },
    /// This program makes other bytes than these.
    NotReproduced {
        /// The first byte that differs, or the length of the shorter one.
        first_difference: usize,
    },
}

/// What verifying found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    /// Files whose hash is the listed one.
    pub hashed: usize,
    /// Files that were made again with the same bytes.
    pub reproduced: usize,
    /// Everything that is wrong, by path.
    pub problems: BTreeMap<String, Problem>,
}

/// Every file this program makes, checksum lists included.
fn generated() -> Vec<Generated> {
    let folders = [
        (qk256::FOLDER, qk256::files()),
        (models::FOLDER, models::files()),
        (edges::FOLDER, edges::files()),
    ];
    let listed = |(folder, mut files): (&str, Vec<Generated>)| {
        files.push(list(folder, &files));
        files
    };
    folders.into_iter().flat_map(listed).collect()
}

/// The list of a folder all of whose files are made.
fn list(folder: &str, files: &[Generated]) -> Generated {
    let line = |file: &Generated| {
        let name = file.path.rsplit('/').next().unwrap_or(&file.path);
        format!("{}  {name}\n", provenance::sha256(&file.bytes))
    };
    Generated {
        path: format!("{folder}/{LIST}"),
        bytes: files.iter().map(line).collect::<String>().into_bytes(),
    }
}

/// Compares every fixture with its list, and every generated one with a fresh one. What cannot be
/// read is a problem like the others, and hides none of them.
pub(crate) fn verify(root: &Path) -> Result<Report, Failure> {
    let mut report = Report::default();
    let folders = entries(root)?;
    let folders = folders.iter().filter(|path| path.is_dir());
    for folder in folders.filter(|path| !path.ends_with(PENDING)) {
        let list = folder.join(LIST);
        if !list.is_file() {
            report.found(&relative(root, &list), Problem::NoList);
        } else if let Err(failure) = verify_list(root, folder, &mut report) {
            report.found(&relative(root, &list), failure.into());
        }
    }
    for file in generated() {
        report.reproduced += report.check(root, &file.path, |bytes| {
            let same = bytes.iter().zip(&file.bytes).take_while(|(a, b)| a == b);
            let first_difference = same.count();
            (bytes != file.bytes).then_some(Problem::NotReproduced { first_difference })
        });
    }
    Ok(report)
}

/// Writes every generated file that is missing or different. Returns the paths written.
pub(crate) fn regenerate(root: &Path) -> Result<Vec<String>, Failure> {
    let files = generated();
    write(
        root,
        files.iter().map(|file| (&file.path[..], &file.bytes[..])),
    )
}

/// Writes those of the files, by path below `root`, that are missing or different: their paths.
fn write<'f>(
    root: &Path,
    files: impl Iterator<Item = (&'f str, &'f [u8])>,
) -> Result<Vec<String>, Failure> {
    let mut written = Vec::new();
    for (file, bytes) in files {
        let path = root.join(file);
        if read(&path)?.is_some_and(|there| there == bytes) {
            continue;
        }
        let folder = path.parent().expect("it lies below the root");
        fs::create_dir_all(folder)
            .and_then(|()| atomic::write(&path, bytes))
            .map_err(Failure::environment)?;
        written.push(file.to_owned());
    }
    Ok(written)
}

impl Report {
    /// The first thing found wrong with a path is the one to report.
    fn found(&mut self, path: &str, problem: Problem) {
        self.problems.entry(path.to_owned()).or_insert(problem);
    }

    /// Looks at a file that has to be there and of whose bytes nothing may be `wrong`: the number
    /// of sound files, which is one or none.
    fn check(
        &mut self,
        root: &Path,
        path: &str,
        wrong: impl FnOnce(&[u8]) -> Option<Problem>,
    ) -> usize {
        let problem = match read(&root.join(path)) {
            Err(failure) => Some(failure.into()),
            Ok(None) => Some(Problem::Missing),
            Ok(Some(bytes)) => wrong(&bytes),
        };
        let Some(problem) = problem else { return 1 };
        self.found(path, problem);
        0
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let why = failure.message;
        Problem::Unreadable { why }
    }
}

fn verify_list(root: &Path, folder: &Path, report: &mut Report) -> Result<(), Failure> {
    let listed = provenance::checksums(&folder.join(LIST))?;
    for (file, hash) in &listed {
        let name = relative(root, &folder.join(file));
        report.hashed += report.check(root, &name, |bytes| {
            let (listed, found) = (hash.clone(), provenance::sha256(bytes));
            (listed != found).then_some(Problem::Changed { listed, found })
        });
    }
    for path in files(folder)? {
        let file = relative(folder, &path);
        if ![LIST, PROSE].contains(&file.as_str()) && !listed.contains_key(&file) {
            report.found(&relative(root, &path), Problem::Unlisted);
        }
    }
    Ok(())
}

/// Every file below a folder, but for what is pending.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let (folders, found): (Vec<_>, Vec<_>) = entries(&folder)?
            .into_iter()
            .partition(|path| path.is_dir());
        open.extend(folders.into_iter().filter(|path| !path.ends_with(PENDING)));
        files.extend(found);
    }
    Ok(files)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let cannot = |e| Failure::environment(format!("{}: {e}", folder.display()));
    let listed = fs::read_dir(folder).map_err(cannot)?;
    listed
        .map(|entry| entry.map(|entry| entry.path()).map_err(cannot))
        .collect()
}

/// The content, or `None` where there is no such file.
fn read(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Failure::environment(format!("{}: {e}", path.display()))),
    }
}

/// `path` below `root`, with slashes on every platform.
fn relative(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}
