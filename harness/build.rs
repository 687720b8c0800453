//! Hands to the receipts which code ran: the compiler's version, the commit, whether it was edited.

use std::process::Command;

fn main() {
    for watched in ["build.rs", "src", "../engine/src", "../ffi/src"] {
        println!("cargo::rerun-if-changed={watched}");
    }
    println!("cargo::rerun-if-env-changed=RUSTC");
    println!("cargo::rerun-if-env-changed=HARNESS_COMMIT");
    let rustc = std::env::var("RUSTC").expect("cargo names the compiler");
    let version = said(&rustc, &["-V"]).expect("the compiler that builds this says its version");
    println!("cargo::rustc-env=HARNESS_RUSTC={version}");
    let commit = commit();
    let package = std::env::var("CARGO_PKG_VERSION").expect("cargo says it");
    println!("cargo::rustc-env=HARNESS_VERSION={package} ({commit})");
    println!("cargo::rustc-env=HARNESS_BUILT_FROM={commit}");
}

/// The commit, and `dirty` behind it where the tree has been edited since; an archive without git
/// may say it itself.
fn commit() -> String {
    if let Some(said) = std::env::var("HARNESS_COMMIT")
        .ok()
        .filter(|s| !s.is_empty())
    {
        return said;
    }
    for name in ["HEAD", "index"] {
        if let Some(path) = said("git", &["rev-parse", "--git-path", name]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let Some(commit) = said("git", &["rev-parse", "--short=12", "HEAD"]) else {
        return "no commit".to_owned();
    };
    let edited = said(
        "git",
        &["status", "--porcelain", "--untracked-files=no", ".."],
    );
    if edited.is_some_and(|edited| edited.is_empty()) {
        commit
    } else {
        format!("{commit}, dirty")
    }
}

fn said(program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program).args(words).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}
