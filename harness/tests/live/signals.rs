//! SIGINT and SIGTERM while a real C++ reference computes.

use std::fs;
use std::path::Path;

use libtest_mimic::Trial;

use crate::live;
use crate::program::Folder;
use crate::program::processes::{ended_by, harness, names, until};

/// All of them.
pub fn trials() -> Vec<Trial> {
    vec![live!(
        ["llama"],
        neither_a_live_reference_nor_what_it_started_outlives_the_run
    )]
}

fn neither_a_live_reference_nor_what_it_started_outlives_the_run() {
    // It is asked about a rewritten model, which lies in the temporary folder.
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let folder = Folder::new();
        let wrapper = folder.file("wrapper", b"sleep 1000 & exec \"$@\"\n");
        let receipt = folder.path().join("receipt.json");
        let words = format!("crossval --reference llama --json {}", receipt.display());
        let mut harness = harness(&words, &folder);
        harness.env(
            "HARNESS_WORKER_WRAPPER",
            format!("sh {}", wrapper.display()),
        );
        let child = harness.spawn().expect("starts");
        let own = child.id().to_string();
        let mut family = Vec::new();
        until(
            "a model is rewritten and a worker with a child runs",
            || {
                let rewritten = names(folder.path())
                    .iter()
                    .any(|name| name.ends_with(".gguf"));
                family = with_children(&with_children(std::slice::from_ref(&own)));
                rewritten && family.len() > 2
            },
        );
        let (ended, told) = ended_by(signal, child);
        assert_eq!(ended, Some(code), "{told}");
        let alive = |process: &String| stat(process).is_some_and(|fields| !fields.starts_with('Z'));
        until("all are gone", || !family.iter().any(alive));
        let left = names(folder.path());
        assert!(
            left.iter()
                .all(|name| ["wrapper", "receipt.json"].contains(&&name[..])),
            "{left:?}"
        );
    }
}

/// What `/proc` says of a process behind its name: its state and its parent first.
fn stat(process: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = status.rsplit_once(") ")?;
    Some(fields.to_owned())
}

/// The living processes whose parent is one of these, and those themselves.
fn with_children(of: &[String]) -> Vec<String> {
    let mut found = of.to_vec();
    for process in names(Path::new("/proc")) {
        let parent = stat(&process).and_then(|fields| Some(fields.split(' ').nth(1)?.to_owned()));
        if parent.is_some_and(|parent| of.contains(&parent)) && !found.contains(&process) {
            found.push(process);
        }
    }
    found
}
