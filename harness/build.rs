//! Hands the compiler, its flags and the commit to the receipts, because which code ran is part of
//! the circumstances, and the committed fixtures to the program, which works without its sources.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=RUSTC");
    println!("cargo::rerun-if-env-changed=HARNESS_COMMIT");
    // A commit is asked for when the code has changed, so that committing alone builds nothing.
    for sources in ["build.rs", "src", "../engine/src", "../ffi/src"] {
        println!("cargo::rerun-if-changed={sources}");
    }
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let rustc = said(&variable("RUSTC"), &["-V"]);
    let rustc = rustc.expect("the compiler that builds this can say its version");
    println!("cargo::rustc-env=HARNESS_RUSTC={rustc}");
    let own = variable("CARGO_ENCODED_RUSTFLAGS").replace('\u{1f}', " ");
    let (target, level) = (variable("TARGET"), variable("OPT_LEVEL"));
    let flags = format!("{target} opt-level={level} {own}");
    println!("cargo::rustc-env=HARNESS_FLAGS={}", flags.trim_end());
    let commit = commit(&variable("HARNESS_COMMIT"));
    println!("cargo::rustc-env=HARNESS_COMMIT={commit}");
    let version = variable("CARGO_PKG_VERSION");
    println!("cargo::rustc-env=HARNESS_VERSION={version} ({commit})");
    let list = Path::new(&variable("OUT_DIR")).join("fixtures.rs");
    let for_a_page = variable("CARGO_CFG_TARGET_FAMILY") == "wasm";
    std::fs::write(list, fixtures(for_a_page)).expect("the folder is for that");
}

/// Every fixture as Rust; none for a page in the browser, which fetches those it shows.
fn fixtures(none: bool) -> String {
    let root =
        Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../fixtures");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    if !none {
        collect(&root, &mut files);
    }
    files.sort();
    let mut digest = DefaultHasher::new();
    let mut lines = String::new();
    for file in &files {
        let path = file.strip_prefix(&root).expect("it was found below");
        let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
        (&parts, std::fs::read(file).expect("a fixture")).hash(&mut digest);
        lines += &format!("    ({:?}, include_bytes!({file:?})),\n", parts.join("/"));
    }
    let digest = format!("{:016x}", digest.finish());
    format!("const DIGEST: &str = {digest:?};\nconst FILES: &[(&str, &[u8])] = &[\n{lines}];\n")
}

/// Every file below a folder but prose, and what waits for a person to look at it.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).expect("the fixtures lie beside the harness");
    for entry in entries {
        let path = entry.expect("readable").path();
        if path.ends_with("pending") {
            continue;
        }
        if path.is_dir() {
            collect(&path, files);
        } else if path.file_name().is_some_and(|name| name != "README.md") {
            files.push(path);
        }
    }
}

/// The commit, and `dirty` behind it where the tree had been edited; an archive without git may be
/// told it.
fn commit(told: &str) -> String {
    if !told.is_empty() {
        return told.to_owned();
    }
    let ask = "describe --always --abbrev=40 --exclude=* --dirty";
    let words: Vec<&str> = ask.split(' ').collect();
    match said("git", &words) {
        Some(commit) => commit.replace("-dirty", ", dirty"),
        None => "no commit".to_owned(),
    }
}

/// What a program prints, if it succeeds.
fn said(program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program).args(words).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}
