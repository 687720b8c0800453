//! Hands the compiler, its flags and the commit to the receipts: which code ran is part of the
//! circumstances.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=RUSTC");
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
    let commit = said(
        "git",
        &["describe", "--always", "--abbrev=40", "--dirty=, changed"],
    );
    let commit = commit.unwrap_or_else(|| "unknown".into());
    println!("cargo::rustc-env=HARNESS_COMMIT={commit}");
}

/// What a program prints, if it succeeds.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}
