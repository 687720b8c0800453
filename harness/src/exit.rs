//! The one table of exit codes, for every command.
#![forbid(unsafe_code)]

use std::process::ExitCode;

/// What the process ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Everything compared agrees, every check passed.
    Agrees = 0,
    /// Something diverges or a check failed.
    Diverges = 1,
    /// The command line or an input file is wrong.
    BadInput = 2,
    /// A reference was required and is not there.
    ReferenceMissing = 3,
    /// Reading, writing or the environment failed.
    Environment = 4,
    /// Less was compared than was declared.
    Incomplete = 5,
    /// The reference died.
    ReferenceDied = 6,
    /// The engine died.
    EngineDied = 7,
    /// An entry for a known divergence matches nothing any more.
    StaleEntry = 8,
    /// This program failed in a way that nobody planned for; it accuses nobody else.
    HarnessFailed = 9,
    /// SIGINT came: 128 and its number.
    Interrupted = 130,
    /// SIGTERM came: 128 and its number.
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// The table as `--help` prints it.
pub const TABLE: &str = "\
Exit codes:
    0  agrees                    6  the reference died
    1  diverges, a check failed  7  the engine died
    2  bad usage or bad input    8  a stale entry of the
    3  a required reference         known divergences
       is not there              9  the harness itself failed
    4  I/O or environment      130  interrupted (SIGINT)
    5  coverage incomplete     143  terminated (SIGTERM)";

/// A failure on the way: what to print and what to end with.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The code to end with.
    pub exit: Exit,
    /// One or more sentences for a person.
    pub message: String,
}

impl Failure {
    /// The command line or an input is wrong.
    pub fn input(message: impl ToString) -> Self {
        Failure {
            exit: Exit::BadInput,
            message: message.to_string(),
        }
    }

    /// Reading, writing or the environment failed.
    pub fn environment(message: impl ToString) -> Self {
        Failure {
            exit: Exit::Environment,
            message: message.to_string(),
        }
    }
}

impl From<engine::refusal::Refusal> for Failure {
    fn from(refusal: engine::refusal::Refusal) -> Self {
        use engine::refusal::Code;
        let exit = match refusal.code {
            Code::Io | Code::OutOfMemory | Code::FileChanged => Exit::Environment,
            _ => Exit::BadInput,
        };
        Failure {
            exit,
            message: refusal.to_string(),
        }
    }
}

impl From<engine::session::EvalError> for Failure {
    fn from(error: engine::session::EvalError) -> Self {
        use engine::session::EvalError;
        let exit = match error {
            EvalError::NotFinite { .. } => Exit::Diverges,
            EvalError::OutOfMemory(_) => Exit::Environment,
            _ => Exit::BadInput,
        };
        Failure {
            exit,
            message: error.to_string(),
        }
    }
}
