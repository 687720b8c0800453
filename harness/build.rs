//! Hands the compiler, its flags and the commit to the receipts: which code ran is part of the
//! circumstances.

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
