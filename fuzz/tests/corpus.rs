//! Every kept input, and every seed, through its target.

use fuzz::{PLANTED, TARGETS, Target};
use harness::receipt::Receipt;

fn kept(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = target.corpus();
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("listed").path()).collect();
    files.sort();
    let read = |path: std::path::PathBuf| {
        let bytes = std::fs::read(&path).expect("readable");
        (path.display().to_string(), bytes)
    };
    files.into_iter().map(read).collect()
}

#[test]
fn what_was_found_once_is_not_found_again() {
    for target in &TARGETS {
        let kept = kept(target);
        assert!(!kept.is_empty(), "{}: its corpus is empty", target.name);
        for (name, bytes) in kept {
            println!("{name}");
            (target.run)(&bytes);
        }
        (target.seeds)().iter().for_each(|seed| (target.run)(seed));
    }
}

#[test]
fn a_planted_bug_is_one() {
    let planted = &PLANTED[0];
    (planted.run)(b"bu");
    let ended = std::panic::catch_unwind(|| (planted.run)(b"bug"));
    assert!(ended.is_err(), "{}", planted.name);
}

#[test]
fn the_corpus_is_small() {
    let files = TARGETS.iter().flat_map(kept);
    let bytes: usize = files.map(|(_, bytes)| bytes.len()).sum();
    assert!(bytes < 300_000, "{bytes} bytes");
}

/// Else every edit of it would be refused for the same reason.
#[test]
fn the_receipt_that_is_edited_is_accepted() {
    let path = TARGETS.iter().find(|target| target.name == "receipt");
    let path = path.expect("a target").corpus().join("edges-the-end.json");
    let bytes = std::fs::read(path).expect("committed");
    Receipt::read(&bytes).expect("of this build");
}
