//! The program `reference` where the build of a checkout fails: what it says, and what it leaves.
#![cfg(unix)]
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// Says more than an error shows, on both streams, and fails.
const FAILING_CMAKE: &str = "#!/bin/sh
for line in $(seq 60); do echo \"cmake says $line\"; done
echo 'the compiler is unhappy' >&2
exit 3
";

/// Asks for a checkout that looks like llama.cpp, with `cmake` as what the environment names.
fn build(checkout: &Path, cache: &Path, cmake: &Path) -> Output {
    fs::create_dir_all(checkout.join("include")).unwrap();
    for file in ["CMakeLists.txt", "include/llama.h"] {
        fs::write(checkout.join(file), "").unwrap();
    }
    let mut reference = Command::new(env!("CARGO_BIN_EXE_reference"));
    reference.arg(checkout).env("CMAKE", cmake);
    reference.env("HARNESS_CACHE", cache).output().unwrap()
}

#[test]
fn a_build_that_fails_shows_the_end_of_its_log_and_where_the_log_is() {
    let root = tempfile::tempdir().unwrap();
    let [checkout, cache, cmake] =
        ["checkout", "cache", "cmake"].map(|name| root.path().join(name));
    fs::write(&cmake, FAILING_CMAKE).unwrap();
    fs::set_permissions(&cmake, fs::Permissions::from_mode(0o755)).unwrap();
    let output = build(&checkout, &cache, &cmake);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        output.stdout.is_empty(),
        "a caller evaluates what is printed there"
    );
    let logs: Vec<_> = fs::read_dir(cache.join("logs")).unwrap().collect();
    let [Ok(log)] = &logs[..] else {
        panic!("{logs:?}")
    };
    let failure = said
        .split_once("building the reference failed")
        .expect(&said)
        .1;
    let path = log.path().display().to_string();
    for part in [
        &path,
        "exit status: 101",
        "cmake says 60",
        "the compiler is unhappy",
    ] {
        assert!(failure.contains(part), "{part:?} is not in {failure}");
    }
    assert!(!failure.contains("cmake says 1\n"), "{failure}");
    let whole = fs::read_to_string(log.path()).unwrap();
    assert!(
        whole.contains("cmake says 1\n") && whole.contains("got: exit status: 3"),
        "{whole}"
    );
    assert_eq!(fs::read_dir(cache.join("scratch")).unwrap().count(), 0);
    assert!(
        !cache.join("references").exists(),
        "half a build is not kept"
    );
}

#[test]
fn a_cmake_that_is_not_installed_is_named() {
    let root = tempfile::tempdir().unwrap();
    let cmake = root.path().join("no-such-cmake");
    let output = build(
        &root.path().join("checkout"),
        &root.path().join("cache"),
        &cmake,
    );
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("no-such-cmake") && said.contains("is `cmake` not installed?"),
        "{said}"
    );
}
