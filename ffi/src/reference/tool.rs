//! Runs a tool to its end and keeps what it wrote for the case that it fails.
#![forbid(unsafe_code)]

use std::io::ErrorKind;
use std::process::{Command, Output, Stdio};

use crate::error::Error;

/// Lines of output shown with a failure.
const SHOWN: usize = 25;

/// What the tool wrote on stdout, if it succeeded.
pub fn run(step: &'static str, command: &mut Command) -> Result<String, Error> {
    let line = command_line(command);
    let output = match command.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(e) => {
            let how = match e.kind() {
                ErrorKind::NotFound => "is not installed".to_owned(),
                _ => format!("could not be started: {e}"),
            };
            return Err(Error::Tool {
                step,
                command: line,
                how,
                log: String::new(),
            });
        }
    };
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let how = format!("ended with {}", output.status);
    Err(Error::Tool {
        step,
        command: line,
        how,
        log: last_lines(&output),
    })
}

/// Whether a program of this name can be started.
pub fn is_installed(program: &str) -> bool {
    let mut command = Command::new(program);
    command
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

fn last_lines(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]]
        .map(String::from_utf8_lossy)
        .concat();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::{is_installed, run};
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
    fn a_missing_tool_is_called_missing() {
        let text = run("x", &mut Command::new("no-such-tool-here"))
            .unwrap_err()
            .to_string();
        assert!(text.contains("is not installed"), "{text}");
        assert!(!is_installed("no-such-tool-here"));
    }
}
