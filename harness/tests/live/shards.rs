//! Shares of what is asked of a live reference, put together.

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

/// Runs it whole and in two shares, which put together are the whole but for its seconds.
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
    let [all, first, second] = [&whole, &one, &two].map(|path| rows(&read(path)));
    assert!(
        first > 0 && second > 0 && first + second == all,
        "{first} + {second}, not {all}"
    );
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
