//! Hands the compiler's version to the receipts: which code ran is part of the circumstances.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC");
    let rustc = std::env::var_os("RUSTC").expect("cargo names the compiler");
    let version = Command::new(rustc).arg("-V").output();
    let version = version.expect("the compiler that builds this can say its version");
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    println!("cargo::rustc-env=HARNESS_RUSTC={version}");
}
