//! What is asked of a live reference in shares, put together, and in several jobs at once.

use std::path::Path;

use libtest_mimic::Trial;
use serde_json::Value;
use tempfile::TempDir;

use crate::live;
use crate::program::ends::{assert_ends, harness};

/// All of them.
pub fn trials() -> Vec<Trial> {
    vec![
        live!([REFERENCE], shares_of_single_kernels_come_together),
        live!([REFERENCE], shares_of_vocabularies_come_together),
    ]
}

const REFERENCE: &str = "bitnet-portable";

/// Runs it whole, in jobs, and in two shares put together: always the same but for its seconds.
fn come_together(words: &[&str], rows: fn(&Value) -> usize) {
    let folder = TempDir::new().expect("a folder");
    let run = |words: &[&str], name: &str| {
        let path = folder.path().join(name);
        let to = path.to_str().expect("plain").to_owned();
        assert_ends(&harness(&[words, &["--json", &to]].concat()), 0, &[]);
        to
    };
    let words = [words, &["--reference", REFERENCE]].concat();
    let share = |k: &str| {
        run(
            &[&words[..], &["--shard", k]].concat(),
            &k.replace('/', "-"),
        )
    };
    let (whole, one, two) = (run(&words, "whole"), share("1/2"), share("2/2"));
    let merged = run(&["receipt", "merge", &two, &one], "merged");
    let third = run(&[&words[..], &["--shard", "2/3"]].concat(), "third");
    let seeded = run(
        &[&words[..], &["--shard", "2/2", "--seed", "9"]].concat(),
        "seeded",
    );
    let less = folder.path().join("less");
    std::fs::write(&less, without_a_row(&two)).expect("written");
    let less = less.to_str().expect("plain").to_owned();
    for (shares, complaint) in [
        (&[&one][..], "missing: share 2/2"),
        (&[&one, &one, &two], "share 1/2 is there twice"),
        (&[&one, &third], "3 shares, not 2"),
        (&[&one, &seeded], "is of another run"),
        (&[&whole, &two], "is the result of a whole run"),
        (&[&one, &less], "is missing: the run did not end"),
    ] {
        let shares: Vec<&str> = shares.iter().map(|share| &share[..]).collect();
        let merge = [&["receipt", "merge"][..], &shares].concat();
        assert_ends(&harness(&merge), 2, &[complaint]);
    }
    let at_once = run(&[&words[..], &["--jobs", "3"]].concat(), "at-once");
    let read = |path: &str| {
        let text = std::fs::read(Path::new(path)).expect("written");
        let mut json: Value = serde_json::from_slice(&text).expect("JSON");
        for reference in json["references"].as_array_mut().into_iter().flatten() {
            if reference.get("seconds").is_some() {
                reference["seconds"] = 0.into();
            }
        }
        json
    };
    assert_eq!(read(&merged), read(&whole));
    assert_eq!(read(&at_once), read(&whole), "three jobs");
    let [all, first, second] = [&whole, &one, &two].map(|path| rows(&read(path)));
    assert!(
        first > 0 && second > 0 && first + second == all,
        "{first} + {second}, not {all}"
    );
}

/// A share that lacks what one of its cases came to.
fn without_a_row(share: &str) -> Vec<u8> {
    let text = std::fs::read(share).expect("written");
    let mut json: Value = serde_json::from_slice(&text).expect("JSON");
    let table = if json["references"][0]["kernels"].is_array() {
        &mut json["references"][0]["kernels"]
    } else {
        &mut json["rows"]
    };
    table.as_array_mut().expect("rows").pop().expect("one");
    serde_json::to_vec(&json).expect("JSON")
}

fn shares_of_single_kernels_come_together() {
    let only = [
        "--only",
        "i2_s-dot",
        "--only",
        "q8_0-dot",
        "--only",
        "i2_s-encode",
    ];
    let rows = |json: &Value| {
        json["references"][0]["kernels"]
            .as_array()
            .map_or(0, Vec::len)
    };
    come_together(&[&["kernels", "--cases", "5"][..], &only].concat(), rows);
}

fn shares_of_vocabularies_come_together() {
    let rows = |json: &Value| json["rows"].as_array().map_or(0, Vec::len);
    come_together(&["tokenizer", "--strings", "20"], rows);
}
