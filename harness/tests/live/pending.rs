//! A live reference that answers otherwise than a recording says: it waits, is shown and accepted.

use std::fs;
use std::path::Path;

use harness::file::provenance::sha256;
use libtest_mimic::Trial;
use tempfile::TempDir;

use crate::program::ends::{assert_ends, harness};
use crate::program::fixture;
use crate::{live, native_is_avx512};

/// What the build for this machine's processor is held against.
fn recording() -> &'static str {
    if native_is_avx512() {
        "bitnet-edges"
    } else {
        "bitnet-portable-edges"
    }
}

/// All of them.
pub fn trials() -> Vec<Trial> {
    vec![live!(
        ["bitnet"],
        what_a_reference_says_otherwise_waits_and_is_accepted
    )]
}

fn what_a_reference_says_otherwise_waits_and_is_accepted() {
    let folder = TempDir::new().expect("a folder");
    copy(&fixture(""), folder.path());
    let place = folder.path().to_str().expect("plain");
    let logits = folder.path().join("recordings").join(recording());
    let logits = logits.join("logits.safetensors");
    let bytes = fs::read(&logits).expect("copied");
    let run = |words: &str, code: i32| {
        let words: Vec<&str> = words.split(' ').chain(["--fixtures", place]).collect();
        assert_ends(&harness(&words), code, &[])
    };
    let record = "crossval --case edges --reference bitnet --record";
    // The reference of today says what the recording says, and nothing waits.
    run(record, 0);
    run("review", 0);
    bend(&logits);
    let said = run(record, 1);
    assert!(
        said.contains("pending ") && said.contains("harness review"),
        "{said}"
    );
    let said = run("review", 1);
    assert!(said.contains("1 of 5720 logits differ"), "{said}");
    run("accept --reason bent", 0);
    run(record, 0);
    run("review", 0);
    assert!(
        fs::read(&logits).expect("there") == bytes,
        "the bits of the reference"
    );
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a temporary folder");
    for entry in fs::read_dir(from).expect("committed") {
        let path = entry.expect("readable").path();
        let to = to.join(path.file_name().expect("it has one"));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, to).expect("copied");
        }
    }
}

/// Flips one bit of a recording and makes every hash of it right again.
fn bend(logits: &Path) {
    let mut bytes = fs::read(logits).expect("copied");
    let old = sha256(&bytes);
    let at = bytes.len() - 1001;
    bytes[at] ^= 1;
    fs::write(logits, &bytes).expect("writable");
    let manifest = logits.with_file_name("recording.json");
    let list = logits
        .ancestors()
        .nth(2)
        .expect("the shelf")
        .join("checksums.txt");
    let mut hashes = [(old, sha256(&bytes)), (String::new(), String::new())];
    let text = fs::read_to_string(&manifest).expect("copied");
    let bent = text.replace(&hashes[0].0, &hashes[0].1);
    hashes[1] = (sha256(text.as_bytes()), sha256(bent.as_bytes()));
    fs::write(&manifest, bent).expect("writable");
    let text = fs::read_to_string(&list).expect("copied");
    let [first, second] = hashes;
    let text = text
        .replace(&first.0, &first.1)
        .replace(&second.0, &second.1);
    fs::write(&list, text).expect("writable");
}
