//! Libraries that must not be opened: not there, not ours, of another version, or meddling.
//!
//! They are made with the compiler that compiles this test, so no reference is needed.
#![cfg(all(unix, feature = "live"))]
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::Command;

use ffi::reference::{Prepared, Provenance, Tree};
use ffi::{Error, Library, control_word};
use tempfile::{TempDir, tempdir};

/// A shared library made of Rust, in `folder`.
fn library(folder: &TempDir, source: &str) -> PathBuf {
    let (input, output) = (
        folder.path().join("input.rs"),
        folder.path().join("output.so"),
    );
    std::fs::write(&input, source).unwrap();
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut rustc = Command::new(rustc);
    rustc.args([
        "--edition=2024",
        "--crate-type=cdylib",
        "-Cpanic=abort",
        "-o",
    ]);
    assert!(rustc.arg(&output).arg(&input).status().unwrap().success());
    output
}

fn open(shim: &Path) -> Error {
    let provenance = Provenance {
        name: None,
        origin: "this test".into(),
        commit: None,
        compiler: None,
        flags: None,
        sha256: Vec::new(),
    };
    let tree = Tree {
        root: "/".into(),
        includes: Vec::new(),
        libllama: "/libllama.so".into(),
        libggml: Vec::new(),
    };
    let prepared = Prepared {
        name: "test".into(),
        shim: shim.to_owned(),
        tree,
        provenance,
    };
    Library::open(&prepared).expect_err("it must not be opened")
}

#[test]
fn a_file_that_is_no_library_is_named() {
    let folder = tempdir().unwrap();
    let text = folder.path().join("text.so");
    std::fs::write(&text, "not a library").unwrap();
    for path in [&text, &folder.path().join("absent.so")] {
        let refusal = open(path);
        assert!(matches!(refusal, Error::Load { .. }), "{refusal}");
        assert!(
            refusal.to_string().contains(path.to_str().unwrap()),
            "{refusal}"
        );
    }
}

#[test]
fn a_library_without_our_interface_is_refused() {
    let folder = tempdir().unwrap();
    let refusal = open(&library(
        &folder,
        "#[unsafe(no_mangle)] pub extern \"C\" fn other() {}",
    ));
    assert!(refusal.to_string().contains("bitnet_shim_abi"), "{refusal}");
}

#[test]
fn another_version_of_the_interface_is_refused_before_anything_else_is_called() {
    let folder = tempdir().unwrap();
    let refusal = open(&library(
        &folder,
        "#[unsafe(no_mangle)] pub extern \"C\" fn bitnet_shim_abi() -> u32 { 999 }
         #[unsafe(no_mangle)] pub extern \"C\" fn bitnet_shim_init() -> i32 { loop {} }",
    ));
    assert!(
        matches!(refusal, Error::Interface { found: 999, .. }),
        "{refusal}"
    );
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_library_that_flushes_denormals_is_caught() {
    let folder = tempdir().unwrap();
    let library = library(
        &folder,
        "#[unsafe(no_mangle)] pub extern \"C\" fn bitnet_shim_abi() -> u32 {
             let flush = 0x9fc0_u32;
             // SAFETY: a valid control word, loaded from a live u32.
             unsafe { std::arch::asm!(\"ldmxcsr [{}]\", in(reg) &raw const flush) };
             999
         }",
    );
    // The register is the thread's own, so the damage ends with it.
    let refusal = std::thread::spawn(move || open(&library)).join().unwrap();
    let expected = matches!(
        refusal,
        Error::FloatEnvironment {
            before: 0x1f80,
            after: 0x9fc0,
            ..
        }
    );
    assert!(expected, "{refusal}");
    assert_eq!(control_word(), 0x1f80);
}
