//! The program with a real C++ reference. Without one that is built every test says so, aloud.
#![cfg(unix)]
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ffi::reference::{Asked, Cache, Missing, Prepared, prepare};
use serde_json::Value;

const CASE: &str = "bitnet-white-whale";

/// The portable reference, which has the same bits on every x86 machine; nothing if it is not
/// built.
fn reference() -> Option<Prepared> {
    let cache = Cache::from_environment().expect("there is a place for a cache");
    let asked = Asked::parse("bitnet-portable").expect("a known name");
    let found = prepare(&asked, &cache, Missing::Refuse, &mut |_| ());
    if let Err(why) = &found {
        println!("SKIPPED: {why}");
    }
    found.ok()
}

fn crossval(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.arg("crossval").args(arguments);
    command
        .env_remove("BITNET_CPP_DIR")
        .env_remove("CROSSVAL_GGUF");
    command.output().expect("the program starts")
}

#[track_caller]
fn assert_ends(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for words in words {
        assert!(said.contains(words), "{words:?} is not in:\n{said}");
    }
}

/// A folder that is gone when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("live-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("temporary folder");
        Folder(path)
    }

    fn path(&self, name: &str) -> String {
        let path = self.0.join(name);
        path.to_str().expect("plain path").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_receipt_proves_that_the_reference_ran_and_the_recording_of_it_is_readable() {
    if reference().is_none() {
        return;
    }
    let folder = Folder::new("receipt");
    let (json, shelf) = (folder.path("receipt.json"), folder.path("recordings"));
    let asked = ["--reference", "bitnet-portable", "--case", CASE];
    let output = crossval(&[&asked[..], &["--json", &json, "--record", &shelf]].concat());
    assert_ends(
        &output,
        0,
        &["live bitnet-portable", "1 bit-identical", "status: ok"],
    );
    let receipt = std::fs::read(&json).expect("written");
    let receipt: Value = serde_json::from_slice(&receipt).expect("JSON");
    assert_eq!(receipt["parity"]["cpp_available"], true);
    let identity = &receipt["circumstances"]["references"][0];
    assert_eq!(identity["name"], "bitnet-portable");
    let hashes = identity["hello"]["sha256"]
        .as_array()
        .expect("of each library");
    assert_eq!(hashes.len(), 2);
    let word = &identity["hello"]["control_word"];
    assert_eq!(word[0], word[1], "loading left rounding alone");
    let verified = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["receipt", "verify", &json])
        .output();
    assert_ends(&verified.expect("the program starts"), 0, &["0 refuted"]);

    let fixtures = fixtures_with(&folder, Path::new(&shelf));
    let output = crossval(&["--fixtures", &fixtures]);
    assert_ends(
        &output,
        0,
        &["bitnet-portable-moby-tiny-bitnet", "bit-identical"],
    );
}

/// Fixtures in which the new recording is the only one.
fn fixtures_with(folder: &Folder, shelf: &Path) -> String {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    let cases = std::fs::read(own.join("cases.json")).expect("a fixture");
    let mut cases: Value = serde_json::from_slice(&cases).expect("JSON");
    let list = cases["cases"].as_array_mut().expect("a list");
    list.retain(|case| case["name"] == CASE);
    list[0]["recordings"] = serde_json::json!(["bitnet-portable-moby-tiny-bitnet"]);
    std::fs::write(folder.path("cases.json"), cases.to_string()).expect("temporary file");
    let model = "moby-tiny/moby-tiny-bitnet.gguf";
    std::fs::create_dir_all(folder.path("moby-tiny")).expect("temporary folder");
    std::fs::copy(own.join(model), folder.path(model)).expect("a fixture");
    assert!(shelf.starts_with(&folder.0));
    folder.0.to_str().expect("plain path").to_owned()
}

#[test]
fn a_library_without_two_bit_weights_is_asked_about_the_same_values_as_f32() {
    let cache = Cache::from_environment().expect("there is a place for a cache");
    let asked = Asked::parse("ik").expect("a known name");
    if let Err(why) = prepare(&asked, &cache, Missing::Refuse, &mut |_| ()) {
        return println!("SKIPPED: {why}");
    }
    let folder = Folder::new("ik");
    let json = folder.path("receipt.json");
    let asked = [
        "--reference",
        "ik",
        "--case",
        "b158-white-whale",
        "--json",
        &json,
    ];
    let told = [
        "live ik",
        "ik: ik-",
        "it has the I2_S weights as F32",
        "t2-other-activations",
        "ulp ",
        "status: ok",
    ];
    assert_ends(&crossval(&asked), 0, &told);
    let bytes = std::fs::read(&json).expect("written");
    let receipt: Value = serde_json::from_slice(&bytes).expect("JSON");
    let nmse = "/cases/0/measured/2/findings/lanes/0/positions/3/distance/nmse";
    let nmse = receipt
        .pointer(nmse)
        .and_then(Value::as_f64)
        .expect("measured");
    // The distance of activations rounded to eight bits: neither equal nor anything like wrong.
    assert!((1e-7..1e-3).contains(&nmse), "{nmse}");
}

#[test]
fn a_reference_has_the_floors_of_the_engine_in_its_arithmetic() {
    if reference().is_none() {
        return;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["calibrate", "--reference", "bitnet-portable"])
        .args(["--documents", "2", "--length", "12"])
        .output();
    let told = [
        "and bitnet-portable: 2 of 2 documents bit-identical",
        "and bitnet-portable again, 1 thread: 2 of 2 documents bit-identical",
    ];
    assert_ends(&output.expect("the program starts"), 0, &told);
}

#[test]
fn the_same_library_twice_is_an_error_and_no_agreement() {
    let Some(prepared) = reference() else {
        return;
    };
    let same = prepared.tree.root.to_str().expect("plain path");
    let asked = ["--reference", "bitnet-portable", "--reference", same];
    let output = crossval(&[&asked[..], &["--case", CASE]].concat());
    assert_ends(&output, 2, &["are the same library"]);
}

#[test]
fn a_reference_without_time_ends_with_its_own_code() {
    if reference().is_none() {
        return;
    }
    let output = crossval(&["--reference", "bitnet-portable", "--patience", "0"]);
    assert_ends(&output, 6, &["reference_timeout"]);
}

#[test]
fn a_reference_that_declines_every_case_was_not_there() {
    if reference().is_none() {
        return;
    }
    let asked = [
        "--reference",
        "bitnet-portable",
        "--case",
        "b158-white-whale",
    ];
    let output = crossval(&asked);
    assert_ends(
        &output,
        3,
        &[
            "unknown model architecture",
            "no case was answered by bitnet-portable",
        ],
    );
}

#[test]
fn a_name_nobody_knows_and_one_that_is_not_built_have_codes_of_their_own() {
    assert_ends(
        &crossval(&["--reference", "no-such-thing"]),
        2,
        &["known are bitnet"],
    );
    let empty = Folder::new("empty-cache");
    let output = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["crossval", "--reference", "bitnet"])
        .env("HARNESS_CACHE", &empty.0)
        .output()
        .expect("the program starts");
    assert_ends(&output, 3, &["is not built", "scripts/reference.sh bitnet"]);
}
