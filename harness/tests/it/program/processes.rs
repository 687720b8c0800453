//! Processes as they run: waited for, signalled, and looked up with what they have started.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Folder;

/// The watchdog of the tests that wait for a process: what is not so by then never will be.
const LONG: Duration = Duration::from_secs(120);

/// Waits until something is so.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < LONG, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends the signal and returns the exit code and what was told.
pub fn ended_by(signal: &str, child: Child) -> (Option<i32>, String) {
    let number = child.id().to_string();
    let sent = Command::new("kill").args([signal, &number]).status();
    assert!(sent.expect("starts").success());
    let output = child.wait_with_output().expect("ends");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), told)
}

/// `harness` with these words, its temporary files in that folder.
pub fn harness(words: &str, folder: &Folder) -> Command {
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

/// The same, started.
pub fn start(words: &str, folder: &Folder) -> Child {
    harness(words, folder).spawn().expect("starts")
}

/// What lies in a folder.
pub fn names(folder: &Path) -> Vec<String> {
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
