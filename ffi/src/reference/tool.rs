//! Runs a tool to its end and keeps what it wrote for the case that it fails.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::Error;

/// Lines of output shown with a failure.
const SHOWN: usize = 20;

/// What the tool wrote on stdout, if it succeeded.
pub fn run(step: &'static str, command: &mut Command) -> Result<String, Error> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| not_started(step, command, &e))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let how = format!("ended with {}", output.status);
    Err(failed(step, command_line(command), how, &text))
}

/// The same for a tool that writes much and takes long: into the file `log`, which stays. The
/// command is called `shown` in the error, which has the log's name and its last lines.
pub fn run_logged(
    step: &'static str,
    shown: &str,
    command: &mut Command,
    log: &Path,
) -> Result<(), Error> {
    // Another process that builds the same keeps its own file, which then has no name any more.
    let _ = std::fs::remove_file(log);
    let open = || {
        let file = File::create(log)?;
        Ok((file.try_clone()?, file))
    };
    let (out, err) = open().map_err(|e| Error::io(log, e))?;
    command.stdin(Stdio::null()).stdout(out).stderr(err);
    let status = command
        .status()
        .map_err(|e| not_started(step, command, &e))?;
    if status.success() {
        return Ok(());
    }
    let text = std::fs::read(log).map_err(|e| Error::io(log, e))?;
    let how = format!(
        "ended with {status}; all it wrote is in {}, the end of it is:",
        log.display()
    );
    Err(failed(step, shown.to_owned(), how, &text))
}

fn not_started(step: &'static str, command: &Command, e: &io::Error) -> Error {
    let how = match e.kind() {
        io::ErrorKind::NotFound => "is not installed".to_owned(),
        _ => format!("could not be started: {e}"),
    };
    failed(step, command_line(command), how, b"")
}

fn failed(step: &'static str, command: String, how: String, text: &[u8]) -> Error {
    let log = excerpt(&String::from_utf8_lossy(text));
    Error::Tool {
        step,
        command,
        how,
        log,
    }
}

/// The last lines, after those that say what failed where tools that ran beside it wrote more.
fn excerpt(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    let end = lines.len().saturating_sub(SHOWN);
    let failed = |line: &&str| line.starts_with("FAILED: ") || line.starts_with("CMake Error");
    let Some(at) = lines[..end].iter().position(failed) else {
        return lines[end..].join("\n");
    };
    let first = &lines[at..end.min(at + SHOWN)];
    [first, &["[...]"], &lines[end..]].concat().join("\n")
}

fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// What compilers call a machine of this architecture that is otherwise like this one.
pub fn triple(architecture: &str) -> String {
    let system = match std::env::consts::OS {
        "macos" => "apple-darwin",
        "linux" if cfg!(target_env = "musl") => "unknown-linux-musl",
        "linux" => "unknown-linux-gnu",
        other => return format!("{architecture}-unknown-{other}"),
    };
    format!("{architecture}-{system}")
}

#[cfg(test)]
mod tests {
    use super::run;
    use std::process::Command;

    #[test]
    fn a_failure_shows_the_command_and_what_it_wrote() {
        let said = run(
            "talking",
            Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]),
        );
        let text = said.unwrap_err().to_string();
        for part in ["talking failed", "sh -c", "3", "out", "err"] {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
    }

    #[test]
    fn what_failed_is_shown_even_where_others_wrote_more() {
        let noise = "a warning\n".repeat(3 * super::SHOWN);
        let text = format!("started\n{noise}FAILED: a.o\na.c:1: an error\n{noise}stopped\n");
        let shown = super::excerpt(&text);
        assert!(
            shown.starts_with("FAILED: a.o\na.c:1: an error\n"),
            "{shown}"
        );
        assert!(shown.ends_with("a warning\nstopped"), "{shown}");
        assert_eq!(shown.lines().count(), 2 * super::SHOWN + 1);
        assert!(super::excerpt(&noise).lines().count() == super::SHOWN);
    }

    #[test]
    fn a_missing_tool_is_called_missing() {
        let text = run("x", &mut Command::new("no-such-tool-here"))
            .unwrap_err()
            .to_string();
        assert!(text.contains("is not installed"), "{text}");
    }
}
