//! How a worker ended, if not with an answer.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure};

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerExit {
    /// The worker lives and does not accept the request.
    Refused(String),
    /// The worker is no more.
    Died(Box<Death>),
}

/// What it died of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::enum_variant_names)] // the names are those of receipts
pub enum Kind {
    /// It ended by itself: a signal, or an exit without an answer.
    #[default]
    #[serde(rename = "reference_crashed")]
    Crashed,
    /// It was ended, because it took too long.
    #[serde(rename = "reference_timeout")]
    Timeout,
    /// It was ended, because what it said was not in the protocol.
    #[serde(rename = "reference_garbage")]
    ProtocolError,
}

/// The record of a death.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Death {
    /// What it died of.
    pub kind: Kind,
    /// What it had said it would do next.
    pub phase: String,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What it exited with, where no signal ended it.
    pub exit_code: Option<i32>,
    /// What was wrong with what it said.
    pub complaint: Option<String>,
    /// The last line it printed that looks like a failed assertion; where there is none and it
    /// exited, the last line.
    pub assertion: Option<String>,
    /// The last 64 KiB it printed.
    pub last_words: String,
    /// The most memory it was seen to hold, in bytes; it may have held more in between.
    pub memory_seen: u64,
    /// How long it lived.
    pub milliseconds: u64,
}

impl Kind {
    /// As in receipts.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Crashed => "reference_crashed",
            Kind::Timeout => "reference_timeout",
            Kind::ProtocolError => "reference_garbage",
        }
    }
}

/// The last line that looks like a failed assertion.
#[cfg(any(unix, test))]
pub fn assertion_in(text: &str) -> Option<String> {
    const MARKS: [&str; 4] = ["GGML_ASSERT", "GGML_ABORT", "Assertion", "panicked at"];
    let marked = |line: &&str| MARKS.iter().any(|mark| line.contains(mark));
    text.lines()
        .rev()
        .find(marked)
        .map(|line| line.trim().to_owned())
}

/// Characters of what a worker says of itself that are kept of too many.
const KEPT: usize = 1000;
/// No more than that are too many: what was cut off once stays as it is.
const WHOLE: usize = KEPT + 50;

/// The beginning of words that are longer than anybody reads: they end up on receipts.
pub(super) fn shortened(words: &str) -> String {
    if words.chars().nth(WHOLE).is_none() {
        return words.to_owned();
    }
    let kept: String = words.chars().take(KEPT).collect();
    format!("{kept}… ({} bytes in all)", words.len())
}

/// One line, the same on every machine as far as the cause is.
impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} while {}", self.kind.name(), self.phase)?;
        if self.kind == Kind::Crashed {
            match (self.signal, self.exit_code) {
                (Some(signal), _) => write!(f, ", {}", signal_name(signal))?,
                (None, Some(code)) => write!(f, ", exit code {code}")?,
                (None, None) => {}
            }
        }
        for words in self.complaint.iter().chain(&self.assertion) {
            write!(f, ": {words}")?;
        }
        Ok(())
    }
}

impl fmt::Display for WorkerExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WorkerExit::Refused(message) => write!(f, "reference_refused: {message}"),
            WorkerExit::Died(death) => death.fmt(f),
        }
    }
}

impl From<WorkerExit> for Failure {
    fn from(exit: WorkerExit) -> Self {
        let code = match exit {
            WorkerExit::Refused(_) => Exit::ReferenceMissing,
            WorkerExit::Died(_) => Exit::ReferenceDied,
        };
        Failure::new(code, exit)
    }
}

/// The signals that end processes, by the numbers that are the same on every Unix we run on.
fn signal_name(number: i32) -> String {
    let name = match number {
        4 => "SIGILL, an instruction that this processor does not have",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        _ => return format!("signal {number}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_assertion_is_found_among_the_last_words() {
        let text = "GGML_ASSERT(a) failed\n  x.c:7: GGML_ASSERT(b) failed\nbacktrace\n";
        assert_eq!(
            assertion_in(text).as_deref(),
            Some("x.c:7: GGML_ASSERT(b) failed")
        );
        assert_eq!(assertion_in("all is well"), None);
    }
}
