//! The program without a reference.
#![forbid(unsafe_code)]

use crate::program::ends::{assert_ends, harness};

#[test]
fn the_program_says_rust_only_and_refuses_what_is_no_shape() {
    let path = std::env::temp_dir().join(format!("shapes-{}.json", std::process::id()));
    let json = path.to_str().expect("plain path");
    let run = harness(&["shapes", "--count", "2", "--first", "9", "--json", json]);
    assert_ends(&run, 0, &["rust-only", "shapes 2/2 compared, 0 differ"]);
    let written = std::fs::read(&path).expect("written");
    let _ = std::fs::remove_file(&path);
    let reports: serde_json::Value = serde_json::from_slice(&written).expect("JSON");
    assert_eq!(reports[0]["mode"], "rust-only");
    assert_eq!(reports[0]["trials"][1]["number"], 10);
    assert_eq!(reports[0]["status"], "rust_only");
    let way = "feed=1*129";
    for (arguments, words) in [
        (
            ["--shape", "colour=red", "--schedule", "feed=1"],
            "a shape has no such part",
        ),
        (
            ["--shape", "layers=1", "--schedule", "feed=x"],
            "no number it can be",
        ),
        (
            ["--shape", "context=128", "--schedule", way],
            "129 tokens into a context of 128",
        ),
    ] {
        assert_ends(
            &harness(&[&["shapes"][..], &arguments].concat()),
            2,
            &[words],
        );
    }
}
