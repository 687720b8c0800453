//! The answers on record: all of them are given again, and each change of one is noticed.

use std::path::{Path, PathBuf};

use crate::kernels::weights::fixtures;
use crate::program::ends::{assert_ends, harness};

/// A fixtures folder with nothing in it but a record, changed.
fn folder(name: &str, change: impl Fn(&mut serde_json::Value)) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("recalled-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let bytes = std::fs::read(fixtures().join("kernels.json")).expect("committed");
    let mut record = serde_json::from_slice(&bytes).expect("JSON");
    change(&mut record);
    let file = folder.join("kernels.json");
    std::fs::write(file, record.to_string()).expect("written");
    folder
}

fn asked(folder: &Path, only: &str, code: i32, words: &[&str]) {
    let place = folder.to_str().expect("plain path");
    let asked = [
        "kernels",
        "--fixtures",
        place,
        "--kernel",
        "scalar",
        "--only",
        only,
    ];
    let output = harness(&asked);
    std::fs::remove_dir_all(folder).expect("it was made here");
    assert_ends(&output, code, words);
}

fn answers<'a>(record: &'a mut serde_json::Value, kernel: &str) -> &'a mut serde_json::Value {
    &mut record["answers"]["bitnet"][kernel]
}

#[test]
fn every_answer_on_record_is_given_again_by_all_instructions() {
    let output = harness(&["kernels"]);
    let all = "64 kernels agree, 0 differ, 0 differ and are not judged, 24 not asked, 0 lost";
    let libraries = [
        "bitnet (ggml-avx512-bf16), scalar",
        "bitnet-portable (ggml-avx2), scalar",
    ];
    let lines = libraries.map(|library| format!("record of {library}: "));
    assert_ends(&output, 0, &[&lines[0], &lines[1], all, "ggml-neon"]);
}

#[test]
fn an_answer_that_is_not_the_one_on_record_is_named() {
    let changed = folder("changed", |record| {
        let hashes = answers(record, "q6_k-dot");
        let text = hashes.as_str().expect("hashes").to_owned();
        let mut hashes_of: Vec<&str> = text.split(' ').collect();
        hashes_of[3] = "0123456789ab";
        *hashes = hashes_of.join(" ").into();
    });
    let words = [
        "q6_k-dot differs in case 3",
        "reference 0123456789ab, ours ",
        "1 differ",
    ];
    asked(&changed, "q6_k-dot", 1, &words);
}

#[test]
fn a_record_that_lacks_an_answer_is_incomplete() {
    let short = folder("short", |record| {
        let hashes = answers(record, "q8_0-decode");
        let text = hashes.as_str().expect("hashes");
        let cut = text.rsplit_once(' ').expect("several").0;
        *hashes = cut.to_owned().into();
    });
    asked(
        &short,
        "q8_0-decode",
        5,
        &["LOST: 27 answers are on record"],
    );
}

#[test]
fn an_answer_that_is_not_on_record_is_not_counted_as_equal() {
    let with = |count: usize| {
        folder("unrecorded", move |record| {
            let hashes = answers(record, "q6_k-dot");
            let text = hashes.as_str().expect("hashes");
            let mark = |(case, hash)| if case < count { "-" } else { hash };
            let marked: Vec<&str> = text.split(' ').enumerate().map(mark).collect();
            *hashes = marked.join(" ").into();
        })
    };
    let few = ["2 excused by name", "1 kernels agree"];
    asked(&with(2), "q6_k-dot", 0, &few);
    let none = ["LOST: no answer on record can be compared"];
    asked(&with(usize::MAX), "q6_k-dot", 5, &none);
}

#[test]
fn what_is_not_on_record_needs_a_reference() {
    assert_ends(
        &harness(&["kernels", "--cases", "7"]),
        3,
        &["--cases", "scripts/reference.sh"],
    );
    let nothing = std::env::temp_dir();
    let nothing = nothing.to_str().expect("plain path");
    let output = harness(&["kernels", "--fixtures", nothing]);
    assert_ends(&output, 3, &["has no kernels.json"]);
}
