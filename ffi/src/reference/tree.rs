//! Finds the headers and the libraries of a reference below a directory, whatever built it.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Folders deeper than this hold no build output of these projects.
const DEPTH: usize = 8;
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
        let refuse = |what: String| Error::NotAReference {
            dir: root.clone(),
            what,
        };
        let mut found = Found::default();
        walk(&root, &mut |path, _| found.note(path))?;
        if found.headers.is_empty()
            && let Some(source) = source_of_build(&root)
        {
            walk(&source, &mut |path, _| found.note_header(path))?;
        }
        let libllama = match &found.llama[..] {
            [one] => one.clone(),
            [] => return Err(Error::NotBuilt(root)),
            several => {
                let list: Vec<_> = several.iter().map(|p| p.display().to_string()).collect();
                let list = list.join(", ");
                return Err(refuse(format!(
                    "holds several builds, name one of them: {list}"
                )));
            }
        };
        let mut includes = Vec::new();
        for header in ["llama.h", "ggml.h"] {
            let home = found
                .headers
                .get(header)
                .and_then(|homes| homes.iter().min_by_key(rank));
            let home = home.ok_or_else(|| refuse(format!("holds no {header}")))?;
            if !includes.contains(home) {
                includes.push(home.clone());
            }
        }
        if found.ggml.is_empty() {
            return Err(refuse("holds no built libggml beside libllama".into()));
        }
        let libggml = found.ggml.into_values().collect();
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

#[derive(Default)]
struct Found {
    headers: BTreeMap<&'static str, Vec<PathBuf>>,
    llama: Vec<PathBuf>,
    ggml: BTreeMap<String, PathBuf>,
}

impl Found {
    fn note(&mut self, path: &Path) {
        self.note_header(path);
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return;
        };
        let Some(stem) = name.strip_suffix(std::env::consts::DLL_SUFFIX) else {
            return;
        };
        if stem == "libllama" {
            self.llama.push(path.to_owned());
        } else if stem == "libggml" || stem.starts_with("libggml-") {
            self.ggml.insert(stem.to_owned(), path.to_owned());
        }
    }

    fn note_header(&mut self, path: &Path) {
        let (Some(name), Some(home)) = (path.file_name(), path.parent()) else {
            return;
        };
        if let Some(name) = ["llama.h", "ggml.h"]
            .into_iter()
            .find(|known| name == *known)
        {
            self.headers.entry(name).or_default().push(home.to_owned());
        }
    }
}

/// Copies of headers lie about in these projects; the one nearest to the root, in a folder called
/// `include`, is the one that was built.
fn rank(home: &&PathBuf) -> (bool, usize, PathBuf) {
    (
        !home.ends_with("include"),
        home.components().count(),
        (*home).clone(),
    )
}

/// cmake notes in every build directory where its source is.
fn source_of_build(build: &Path) -> Option<PathBuf> {
    let cache = std::fs::read_to_string(build.join("CMakeCache.txt")).ok()?;
    let home = cache
        .lines()
        .find_map(|line| line.strip_prefix("CMAKE_HOME_DIRECTORY:INTERNAL="));
    home.map(PathBuf::from)
}

/// Calls `visit` for every file below `dir`, in order of name, links to files included; hidden
/// folders and links to folders are left out.
pub fn walk(dir: &Path, visit: &mut dyn FnMut(&Path, &Metadata)) -> Result<(), Error> {
    let mut folders = vec![(dir.to_owned(), 0)];
    let mut files = 0;
    while let Some((folder, depth)) = folders.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|e| Error::io(&folder, e))?;
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            // What vanishes while we look was not a part of the project.
            let (Ok(kind), Ok(metadata)) = (entry.file_type(), std::fs::metadata(&path)) else {
                continue;
            };
            if kind.is_dir() && !hidden && depth < DEPTH {
                folders.push((path, depth + 1));
            } else if metadata.is_file() {
                files += 1;
                if files > FILES {
                    let what = format!("holds more than {FILES} files");
                    return Err(Error::NotAReference {
                        dir: dir.to_owned(),
                        what,
                    });
                }
                visit(&path, &metadata);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Tree;
    use std::path::{Path, PathBuf};

    struct Folder(PathBuf);

    impl Folder {
        fn with(name: &str, files: &[&str]) -> Self {
            let root = std::env::temp_dir().join(format!("ffi-{name}-{}", std::process::id()));
            for file in files {
                let path = root.join(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, "").unwrap();
            }
            Folder(root.canonicalize().unwrap())
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
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
        let folder = Folder::with("built", &BUILT);
        let tree = Tree::find(&folder.0).unwrap();
        let inside = |path: &Path| path.strip_prefix(&folder.0).unwrap().to_owned();
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
        let refusal = |name: &str, files: &[&str]| {
            let folder = Folder::with(name, files);
            Tree::find(&folder.0).unwrap_err().to_string()
        };
        let second = [&BUILT[..], &["build-debug/src/libllama.so"]].concat();
        let text = refusal("two", &second);
        assert!(
            text.contains("several") && text.contains("build-debug"),
            "{text}"
        );
        assert!(refusal("none", &BUILT[..3]).contains("no built libllama"));
        assert!(refusal("half", &BUILT[..4]).contains("no built libggml"));
        assert!(refusal("headless", &BUILT[2..]).contains("no llama.h"));
    }
}
