//! SIGHUP, SIGINT and SIGTERM: children are ended, what is half written is removed, the way to go
//! on is told, and the exit code says which signal it was. What is finished was kept already.
#![forbid(unsafe_code)]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use crate::io::output::quoted;

#[cfg(unix)]
use rustix::process::{Signal, getpid, kill_process};

#[cfg(unix)]
use crate::io::descendants::descendants;

/// What a signal finds.
struct Unfinished {
    temporary: Vec<PathBuf>,
    /// What is kept of this run, and the command line that goes on with it.
    resume: Option<(PathBuf, String)>,
}

static UNFINISHED: Mutex<Unfinished> = Mutex::new(Unfinished {
    temporary: Vec::new(),
    resume: None,
});

fn unfinished() -> MutexGuard<'static, Unfinished> {
    // Each change is one step, so a panic elsewhere leaves it sound.
    UNFINISHED.lock().unwrap_or_else(|e| e.into_inner())
}

/// Something is finished and kept there: the command line that takes it over by that flag is told
/// when a signal ends the run.
pub fn resume_with(flag: &str, kept: &Path) {
    let line = again(flag, kept);
    unfinished().resume = Some((kept.to_owned(), line));
}

/// Returns unless a signal is ending this program: then what its children died of is no result.
pub fn wait_if_ending() {
    drop(unfinished());
}

/// The words of this run's command line.
pub fn typed() -> impl Iterator<Item = String> {
    std::env::args_os().map(|word| word.to_string_lossy().into_owned())
}

/// This run's command line for a shell, with `flag value` instead of what it says about `flag`.
fn again(flag: &str, value: &Path) -> String {
    again_from(typed(), flag, &value.to_string_lossy())
}

fn again_from(mut typed: impl Iterator<Item = String>, flag: &str, value: &str) -> String {
    let mut words = Vec::new();
    while let Some(word) = typed.next() {
        if word == flag {
            typed.next();
        } else if word.split_once('=').is_none_or(|(name, _)| name != flag) {
            words.push(quoted(&word));
        }
    }
    words.extend([flag.to_owned(), quoted(value)]);
    words.join(" ")
}

/// A file or folder that a signal removes, until this is dropped.
pub struct Temporary<T: AsRef<Path>> {
    held: Option<T>,
    path: PathBuf,
}

impl<T: AsRef<Path>> Temporary<T> {
    /// Makes it. No signal finds it made and not yet known.
    pub fn make(make: impl FnOnce() -> io::Result<T>) -> io::Result<Self> {
        let mut unfinished = unfinished();
        let held = make()?;
        let path = held.as_ref().to_owned();
        unfinished.temporary.push(path.clone());
        let held = Some(held);
        Ok(Temporary { held, path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was made, still known to signals until `done` has put it where it belongs.
    pub fn finish<R>(mut self, done: impl FnOnce(T) -> R) -> R {
        done(self.held.take().expect("taken only here"))
    }
}

impl<T: AsRef<Path>> Drop for Temporary<T> {
    fn drop(&mut self) {
        // Whoever holds it removes it first, so that it is known as long as it is there.
        drop(self.held.take());
        unfinished().temporary.retain(|path| *path != self.path);
    }
}

/// From here on SIGHUP, SIGINT and SIGTERM end the program as the table of exit codes says; `clean`
/// removes what is temporary and not known here.
#[cfg(unix)]
pub fn watch(clean: fn()) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut watched = vec![SIGINT, SIGTERM];
    if !survives(SIGHUP) {
        watched.push(SIGHUP);
    }
    let mut signals = signal_hook::iterator::Signals::new(watched)?;
    let wait = move || {
        if let Some(signal) = signals.forever().next() {
            end(signal, clean);
        }
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(wait)?;
    Ok(())
}

/// Whether this run was started to go on after that signal, as `nohup` does; where the system does
/// not tell, it may have been.
#[cfg(unix)]
fn survives(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_none_or(|mask| mask >> (signal - 1) & 1 == 1)
}

/// Elsewhere the system's own way to end a program stays.
#[cfg(not(unix))]
pub fn watch(_clean: fn()) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn end(signal: i32, clean: fn()) -> ! {
    use crate::exit::Exit;
    use crate::io::output::tell;
    use signal_hook::consts::{SIGHUP, SIGINT};
    // Never released: from here on nothing temporary is made and nothing is put in its place.
    let unfinished = unfinished();
    for process in descendants(getpid()) {
        // It may have ended by itself.
        let _ = kill_process(process, Signal::KILL);
    }
    for path in &unfinished.temporary {
        // It may be gone already; there is no other way to go on anyway.
        let _ = std::fs::remove_file(path).or_else(|_| std::fs::remove_dir_all(path));
    }
    clean();
    let (word, exit) = match signal {
        SIGHUP => ("hung up", Exit::HungUp),
        SIGINT => ("interrupted", Exit::Interrupted),
        _ => ("terminated", Exit::Terminated),
    };
    let words: Vec<String> = typed().map(|word| quoted(&word)).collect();
    let next = match &unfinished.resume {
        Some((kept, line)) if kept.exists() => {
            format!("what is finished is kept; to go on:\n  {line}")
        }
        _ => format!("to run it again:\n  {}", words.join(" ")),
    };
    tell(format!("\n{word}: {next}"));
    std::process::exit(exit as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_repeated_with_one_flag_exchanged() {
        let again = |typed: &[&str]| {
            let typed = typed.iter().map(|word| (*word).to_owned());
            again_from(typed, "--resume", "new one.json")
        };
        let line = "harness crossval --prompt 'it'\\''s' --resume 'new one.json'";
        assert_eq!(again(&["harness", "crossval", "--prompt", "it's"]), line);
        let first = [
            "harness", "crossval", "--resume", "old.json", "--prompt", "it's",
        ];
        assert_eq!(again(&first), line);
        assert_eq!(again(&["h", "--resume=old"]), "h --resume 'new one.json'");
    }
}
