//! Finds the headers and the libraries of a reference below a directory, whatever built it.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use walkdir::{DirEntry, WalkDir};

use crate::error::Error;
use crate::reference::cache::hex;

/// Files deeper than this are no build output of these projects.
const DEPTH: usize = 9;
/// More files than this are not one of these projects.
const FILES: usize = 200_000;

/// A reference that is built.
#[derive(Debug, Clone)]
pub struct Tree {
    /// The directory that was given.
    pub root: PathBuf,
    /// Directories to compile against.
    pub includes: Vec<PathBuf>,
    /// The library with `llama_decode`.
    pub libllama: PathBuf,
    /// The tensor libraries below it.
    pub libggml: Vec<PathBuf>,
}

impl Tree {
    /// Looks below `dir`: a checkout with a build inside, a build directory, an installed prefix.
    pub fn find(dir: &Path) -> Result<Self, Error> {
        let root = dir.canonicalize().map_err(|e| Error::io(dir, e))?;
        let files = files_below(&root)?;
        let libraries = |wanted: fn(&str) -> bool| {
            let named = files.iter().filter_map(|path| Some((stem(path)?, path)));
            named.filter(move |(stem, _)| wanted(stem))
        };
        let builds: Vec<_> = libraries(|stem| stem == "libllama").collect();
        let libllama = match builds[..] {
            [(_, one)] => one.clone(),
            [] => return Err(Error::NotBuilt(root)),
            _ => {
                let list: Vec<_> = builds.iter().map(|b| b.1.display().to_string()).collect();
                let what = format!(
                    "holds several builds, name one of them: {}",
                    list.join(", ")
                );
                return Err(Error::not_a_reference(root, what));
            }
        };
        // One of each name: a build may keep copies.
        let libggml = libraries(|stem| stem == "libggml" || stem.starts_with("libggml-"));
        let libggml: BTreeMap<_, _> = libggml.collect();
        let includes = includes(&root, &files)?;
        if libggml.is_empty() {
            let what = "holds no built libggml beside libllama";
            return Err(Error::not_a_reference(root, what));
        }
        let libggml = libggml.into_values().cloned().collect();
        Ok(Tree {
            root,
            includes,
            libllama,
            libggml,
        })
    }

    /// The architecture, as Rust calls it, that its ELF files are for. Nothing where that is
    /// unknown.
    pub fn architecture(&self) -> Option<&'static str> {
        let mut start = [0; 20];
        let read = File::open(&self.libllama).and_then(|mut file| file.read_exact(&mut start));
        if read.is_err() || !start.starts_with(b"\x7fELF") {
            return None;
        }
        match u16::from_le_bytes([start[18], start[19]]) {
            62 => Some("x86_64"),
            183 => Some("aarch64"),
            _ => None,
        }
    }

    /// The architecture it is for, if that is not this program's.
    pub fn foreign(&self) -> Option<&'static str> {
        self.architecture()
            .filter(|name| *name != std::env::consts::ARCH)
    }

    /// Every library, libllama first.
    pub fn libraries(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.libllama)
            .chain(&self.libggml)
            .map(PathBuf::as_path)
    }

    /// The directories the libraries are in, each once.
    pub fn library_folders(&self) -> Vec<&Path> {
        let mut folders: Vec<_> = self.libraries().filter_map(Path::parent).collect();
        folders.sort();
        folders.dedup();
        folders
    }
}

/// A shared library's name without what the system adds to it.
fn stem(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(std::env::consts::DLL_SUFFIX)
}

/// The folders of the two headers: among `files`, or where the source of a build folder is.
fn includes(root: &Path, files: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let headers = ["llama.h", "ggml.h"];
    let here = |path: &PathBuf| headers.iter().any(|header| path.ends_with(header));
    let elsewhere = match source_of_build(root) {
        Some(source) if !files.iter().any(here) => files_below(&source)?,
        _ => Vec::new(),
    };
    let mut includes = Vec::new();
    for header in headers {
        let found = files
            .iter()
            .chain(&elsewhere)
            .filter(|path| path.ends_with(header));
        let home = found.filter_map(|path| path.parent()).min_by_key(rank);
        let home =
            home.ok_or_else(|| Error::not_a_reference(root, format!("holds no {header}")))?;
        includes.push(home.to_owned());
    }
    includes.dedup();
    Ok(includes)
}

/// Copies of headers lie about in these projects; the one nearest to the root, in a folder called
/// `include`, is the one that was built.
fn rank<'a>(home: &&'a Path) -> (bool, usize, &'a Path) {
    (!home.ends_with("include"), home.components().count(), home)
}

/// cmake notes in every build directory where its source is.
fn source_of_build(build: &Path) -> Option<PathBuf> {
    let cache = std::fs::read_to_string(build.join("CMakeCache.txt")).ok()?;
    let home = cache
        .lines()
        .find_map(|line| line.strip_prefix("CMAKE_HOME_DIRECTORY:INTERNAL="));
    home.map(PathBuf::from)
}

/// The files below `dir`, in order of name, links to files included.
pub fn files_below(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for entry in walk(dir, |entry| entry.depth() <= DEPTH) {
        let entry = entry?;
        if entry.path().is_file() {
            files.push(entry.into_path());
        }
        if files.len() > FILES {
            let what = format!("holds more than {FILES} files");
            return Err(Error::not_a_reference(dir, what));
        }
    }
    Ok(files)
}

/// What is below `dir`, in order of name; hidden folders, and what `keep` denies, are left out
/// with all that is in them. Links are not followed.
pub fn walk(
    dir: &Path,
    keep: impl Fn(&DirEntry) -> bool,
) -> impl Iterator<Item = Result<DirEntry, Error>> {
    let hidden = |entry: &DirEntry| {
        let name = entry.file_name().as_encoded_bytes();
        entry.depth() > 0 && entry.file_type().is_dir() && name.starts_with(b".")
    };
    let entries = WalkDir::new(dir).sort_by_file_name().into_iter();
    let wanted = entries.filter_entry(move |entry| !hidden(entry) && keep(entry));
    wanted.filter_map(|entry| match entry {
        Ok(entry) => Some(Ok(entry)),
        Err(e) => {
            let path = e.path().map(Path::to_owned).unwrap_or_default();
            let at_root = e.depth() == 0;
            let source = e.into_io_error().unwrap_or(ErrorKind::Other.into());
            // What vanishes while we look was not a part of the project.
            let vanished = !at_root && source.kind() == ErrorKind::NotFound;
            (!vanished).then(|| Err(Error::io(path, source)))
        }
    })
}

/// A hash of the files below `dir`, their names and what is in them, hidden folders left out.
pub fn content(dir: &Path) -> Result<String, Error> {
    let mut hash = Sha256::new();
    for entry in walk(dir, |_| true) {
        let path = entry?.into_path();
        if path.is_file() {
            let inside = path.strip_prefix(dir).expect("a walk stays below its root");
            let bytes = std::fs::read(&path).map_err(|e| Error::io(&path, e))?;
            for part in [inside.as_os_str().as_encoded_bytes(), &bytes] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
        }
    }
    Ok(hex(&hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::{Tree, content};
    use std::path::{Path, PathBuf};
    use tempfile::TempDir;

    fn folder_with(files: &[&str]) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        root
    }

    const BUILT: [&str; 5] = [
        "3rdparty/llama.cpp/include/llama.h",
        "3rdparty/llama.cpp/spm-headers/llama.h",
        "3rdparty/llama.cpp/ggml/include/ggml.h",
        "build/3rdparty/llama.cpp/src/libllama.so",
        "build/3rdparty/llama.cpp/ggml/src/libggml.so",
    ];

    #[test]
    #[cfg(target_os = "linux")]
    fn a_checkout_with_a_build_inside_is_found() {
        let folder = folder_with(&BUILT);
        let tree = Tree::find(folder.path()).unwrap();
        let inside = |path: &Path| path.strip_prefix(&tree.root).unwrap().to_owned();
        assert_eq!(inside(&tree.libllama), Path::new(BUILT[3]));
        assert_eq!(inside(&tree.libggml[0]), Path::new(BUILT[4]));
        let includes: Vec<_> = tree.includes.iter().map(|dir| inside(dir)).collect();
        let expected = [
            "3rdparty/llama.cpp/include",
            "3rdparty/llama.cpp/ggml/include",
        ];
        assert_eq!(includes, expected.map(PathBuf::from));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn two_builds_none_and_half_a_build_are_refused_by_name() {
        let refusal = |files: &[&str]| {
            let folder = folder_with(files);
            Tree::find(folder.path()).unwrap_err().to_string()
        };
        let second = [&BUILT[..], &["build-debug/src/libllama.so"]].concat();
        let text = refusal(&second);
        assert!(
            text.contains("several") && text.contains("build-debug"),
            "{text}"
        );
        assert!(refusal(&BUILT[..3]).contains("no built libllama"));
        assert!(refusal(&BUILT[..4]).contains("no built libggml"));
        assert!(refusal(&BUILT[2..]).contains("no llama.h"));
    }

    #[test]
    fn a_byte_a_name_and_a_file_more_are_other_content() {
        let found = |files: &[(&str, &str)]| {
            let folder = folder_with(&[".git/config"]);
            for (name, text) in files {
                std::fs::write(folder.path().join(name), text).unwrap();
            }
            content(folder.path()).unwrap()
        };
        let one = found(&[("ggml.c", "int a;")]);
        assert_eq!(one, found(&[("ggml.c", "int a;")]));
        let others: [&[(&str, &str)]; 4] = [
            &[("ggml.c", "int b;")],
            &[("ggml.h", "int a;")],
            &[("ggml.c", "int a;"), ("more.c", "")],
            &[("ggml.ci", "nt a;")],
        ];
        assert!(others.into_iter().all(|other| found(other) != one));
    }
}
