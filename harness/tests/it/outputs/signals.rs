//! SIGINT and SIGTERM in the middle of a run.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::model;
use crate::program::Folder;
use crate::program::built::built;

const LONG: Duration = Duration::from_secs(120);

/// Waits until something is so.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < LONG, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends the signal and returns the exit code and what was told.
fn ended_by(signal: &str, child: Child) -> (Option<i32>, String) {
    let number = child.id().to_string();
    let sent = Command::new("kill").args([signal, &number]).status();
    assert!(sent.expect("starts").success());
    let output = child.wait_with_output().expect("ends");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), told)
}

fn harness(words: &str, folder: &Folder) -> Command {
    let mut harness = Command::new(env!("CARGO_BIN_EXE_harness"));
    harness
        .args(words.split_whitespace())
        .env("TMPDIR", folder.path());
    harness
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    harness
}

fn start(words: &str, folder: &Folder) -> Child {
    harness(words, folder).spawn().expect("starts")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("listed");
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry
            .expect("listed")
            .file_name()
            .to_string_lossy()
            .into_owned()
    };
    entries.map(name).collect()
}

#[test]
fn a_file_that_is_not_whole_is_removed_and_the_exit_code_names_the_signal() {
    for (signal, code, word) in [("-INT", 130, "interrupted"), ("-TERM", 143, "terminated")] {
        let folder = Folder::new();
        let logits = folder.path().join("l.npy");
        let tokens = ["1"; 500].join(",");
        let words = format!(
            "eval --kernel scalar --threads 1 --ubatch 1 --tokens {tokens} --model {} --logits {}",
            model().display(),
            logits.display()
        );
        let child = start(&words, &folder);
        let begun = || {
            names(folder.path())
                .iter()
                .any(|name| name.ends_with(".part"))
        };
        until("the file is begun", begun);
        let (ended, told) = ended_by(signal, child);
        assert_eq!(ended, Some(code), "{told}");
        assert!(told.contains(word), "{told}");
        assert_eq!(names(folder.path()), Vec::<String>::new(), "left behind");
    }
}

#[test]
fn finished_cases_are_kept_and_the_line_that_is_told_goes_on_with_them() {
    let folder = Folder::new();
    let receipt = folder.path().join("the receipt.json");
    let mut harness = harness(
        "crossval --case b158-ishmael --case b158-white-whale",
        &folder,
    );
    harness
        .args(["--case", "b158-november", "--json"])
        .arg(&receipt);
    let child = harness.spawn().expect("starts");
    until("a case is finished", || receipt.exists());
    let (ended, told) = ended_by("-INT", child);
    assert_eq!(ended, Some(130), "{told}");
    let cases = || {
        let receipt = fs::read(&receipt).expect("kept");
        let receipt: serde_json::Value = serde_json::from_slice(&receipt).expect("whole");
        receipt["cases"].as_array().expect("cases").to_owned()
    };
    let kept = cases();
    assert!((1..3).contains(&kept.len()), "{} cases", kept.len());
    assert_eq!(names(folder.path()), ["the receipt.json"], "left behind");
    let line = told.lines().last().expect("told");
    let again = Command::new("sh")
        .args(["-c", line])
        .output()
        .expect("starts");
    let said = String::from_utf8_lossy(&again.stderr);
    assert_eq!(again.status.code(), Some(0), "{line}: {said}");
    let all = cases();
    assert_eq!(all.len(), 3);
    assert_eq!(
        all[..kept.len()],
        kept,
        "what was finished was computed again"
    );
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

#[test]
fn neither_a_live_reference_nor_what_it_started_outlives_the_run() {
    // It is asked about a rewritten model, which lies in the temporary folder.
    if built("llama").is_none() {
        return;
    }
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
