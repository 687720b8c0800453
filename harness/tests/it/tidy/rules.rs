//! The rules themselves: pure functions from a source to the faults in it.

use std::fs;
use std::path::{Path, PathBuf};

pub const FILE_LINES_MAX: usize = 400;
pub const FUNCTION_LINES_MAX: usize = 70;
pub const LINE_COLUMNS_MAX: usize = 100;

/// The only places that may say `unsafe`.
const UNSAFE_ALLOWED: [&str; 7] = [
    "capi/src/",
    "engine/src/bytes.rs",
    "engine/src/kernels/",
    "engine/src/numerics/",
    "engine/src/pool",
    "ffi/src/",
    "harness/src/io/process.rs",
];

/// Written by a program and compared with what it writes today; no reader edits it.
const GENERATED: &str = "ffi/src/bindings.rs";

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 9] = [
    "utils", "util", "common", "helpers", "misc", "core", "manager", "support", "types",
];

/// Text that may not appear in a Rust source, each assembled so that this file does not trip
/// over itself.
pub const BANNED: [(&str, &str); 8] = [
    ("#[ig", "nore"),
    ("#[should_", "panic"),
    ("tod", "o!("),
    ("unimple", "mented!("),
    ("db", "g!("),
    ("FIX", "ME"),
    ("XX", "X"),
    ("/wo", "rk/"),
];

pub struct Source {
    /// Path from the root of the repository, with forward slashes.
    pub path: String,
    /// The whole file.
    pub text: String,
}

impl Source {
    /// A source that exists only to break a rule.
    pub fn planted(path: &str, text: &str) -> Self {
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    /// Lines with their numbers, comments and doc comments left out.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self
            .text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line));
        numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in the workspace")
        .into()
}

pub fn sources() -> Vec<Source> {
    fn walk(folder: &Path, root: &Path, found: &mut Vec<Source>) {
        for entry in fs::read_dir(folder).expect("readable folder") {
            let path = entry.expect("readable entry").path();
            if path.is_dir() {
                walk(&path, root, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root).expect("below the root");
                found.push(Source {
                    path: name.to_string_lossy().replace('\\', "/"),
                    text: fs::read_to_string(&path).expect("UTF-8 source"),
                });
            }
        }
    }
    let root = root();
    let mut found = Vec::new();
    for package in ["capi", "engine", "ffi", "fuzz", "harness"] {
        walk(&root.join(package), &root, &mut found);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(
        found.len() > 20,
        "only {} sources found: the walk is broken",
        found.len()
    );
    found
}

pub fn shape(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    if source.path == GENERATED {
        return faults;
    }
    let lines: Vec<&str> = source.text.lines().collect();
    if !source.text.starts_with("//!") {
        faults.push(format!(
            "{}: does not start with a `//!` sentence",
            source.path
        ));
    }
    if lines.len() > FILE_LINES_MAX {
        let message = "lines, split it along a noun";
        faults.push(format!("{}: {} {message}", source.path, lines.len()));
    }
    for (index, line) in lines.iter().enumerate() {
        if line.chars().count() > LINE_COLUMNS_MAX {
            faults.push(format!(
                "{}:{}: over {LINE_COLUMNS_MAX} columns",
                source.path,
                index + 1
            ));
        }
        let code = line.trim_start();
        let is_function = [
            "fn ",
            "pub fn ",
            "pub(crate) fn ",
            "pub(super) fn ",
            "const fn ",
        ]
        .iter()
        .any(|start| code.starts_with(start));
        if is_function && !code.ends_with(';') {
            // rustfmt closes a function at the column it opened.
            let close = format!("{}}}", &line[..line.len() - code.len()]);
            let length = lines[index..]
                .iter()
                .position(|l| *l == close)
                .map_or(1, |n| n + 1);
            if length > FUNCTION_LINES_MAX {
                faults.push(format!(
                    "{}:{}: function of {length} lines",
                    source.path,
                    index + 1
                ));
            }
        }
    }
    faults
}

pub fn names(source: &Source) -> Vec<String> {
    let parts = source.path.trim_end_matches(".rs").split('/');
    let empty = parts.filter(|part| EMPTY_NAMES.contains(part));
    let modules = source.path.ends_with("/mod.rs").then_some("mod");
    empty
        .chain(modules)
        .map(|name| format!("{}: a name like `{name}`", source.path))
        .collect()
}

pub fn banned(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        for (head, tail) in BANNED {
            if line.contains(&format!("{head}{tail}")) {
                faults.push(format!("{}:{}: `{head}{tail}`", source.path, number + 1));
            }
        }
    }
    faults
}

/// A macro that prints panics where nobody reads: what is printed goes through `io::output`.
pub fn printing(source: &Source) -> Vec<String> {
    if !source.path.starts_with("harness/src/") {
        return Vec::new();
    }
    let prints = |line: &str| line.contains("print!(") || line.contains("println!(");
    let found = source.code().filter(|(_, line)| prints(line));
    let fault = |(number, _)| format!("{}:{number}: prints past io::output", source.path);
    found.map(fault).collect()
}

/// Words for nobody in particular, which say less in a message than the name of what is meant.
const VAGUE: [&str; 4] = ["nobody", "somebody", "whoever", "anybody"];

/// Messages, names and help that use them; comments may.
pub fn vague(source: &Source) -> Vec<String> {
    if !source.path.contains("/src/") {
        return Vec::new();
    }
    let words = |line: &str| -> Vec<String> {
        let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        words
            .flat_map(|word| word.split('_'))
            .map(str::to_lowercase)
            .collect()
    };
    let mut faults = Vec::new();
    for (number, line) in source.code() {
        let code = line.split(" // ").next().unwrap_or(line);
        for word in words(code).iter().filter(|word| VAGUE.contains(&&word[..])) {
            faults.push(format!("{}:{number}: `{word}` names nothing", source.path));
        }
    }
    faults
}

pub fn unsafety(source: &Source) -> Vec<String> {
    if source.path == GENERATED {
        return Vec::new();
    }
    let allowed = UNSAFE_ALLOWED
        .iter()
        .any(|place| source.path.starts_with(place));
    let mut faults = Vec::new();
    let lines: Vec<&str> = source.text.lines().collect();
    for (number, line) in source.code() {
        let block =
            line.contains(concat!("unsafe", " {")) || line.contains(concat!("unsafe", " impl"));
        let declares =
            line.contains(concat!("unsafe", " fn")) || line.contains(concat!("unsafe", " extern"));
        if (block || declares) && !allowed && source.path.contains("/src/") {
            faults.push(format!(
                "{}:{number}: unsafe outside its floor",
                source.path
            ));
        }
        let above = &lines[number.saturating_sub(7)..number];
        if block && !above.iter().any(|l| l.contains("SAFETY:")) {
            faults.push(format!(
                "{}:{number}: unsafe without a SAFETY sentence",
                source.path
            ));
        }
    }
    faults
}

pub fn separation(source: &Source) -> Vec<String> {
    let (own, strangers): (&str, &[&str]) = match source.path.split('/').next() {
        Some("engine") => (
            "engine",
            &["ffi::", "harness::", "extern \"C\"", "libloading"],
        ),
        Some("ffi") => ("ffi", &["engine::", "harness::"]),
        _ => return Vec::new(),
    };
    let mut faults = Vec::new();
    for (number, line) in source.code() {
        for stranger in strangers.iter().filter(|s| line.contains(**s)) {
            let place = format!("{}:{number}", source.path);
            faults.push(format!("{place}: {own} knows `{stranger}`"));
        }
    }
    faults
}
