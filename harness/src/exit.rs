//! The one table of exit codes, for every command.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use engine::refusal::{Code, Refusal};
use engine::session::EvalError;
use serde_json::{Value, json};

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
    /// SIGHUP came: 128 and its number.
    HungUp = 129,
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
    4  I/O or environment      129  hung up (SIGHUP)
    5  coverage incomplete     130  interrupted (SIGINT)
                               143  terminated (SIGTERM)";

/// A failure on the way: what to print and what to end with.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The code to end with.
    pub exit: Exit,
    /// One or more sentences for a person.
    pub message: String,
    /// For programs: the same as the engine said it, where the engine did.
    pub refusal: Option<Box<Refusal>>,
}

impl Failure {
    /// A failure in words.
    pub fn new(exit: Exit, message: impl ToString) -> Self {
        Failure {
            exit,
            message: message.to_string(),
            refusal: None,
        }
    }

    /// The command line or an input is wrong.
    pub fn input(message: impl ToString) -> Self {
        Self::new(Exit::BadInput, message)
    }

    /// Reading, writing or the environment failed.
    pub fn environment(message: impl ToString) -> Self {
        Self::new(Exit::Environment, message)
    }

    /// As `--json` writes it.
    pub fn to_json(&self) -> Value {
        let mut error = json!({ "exit": self.exit as u8, "message": self.message });
        if let Some(refusal) = &self.refusal {
            error["refusal"] = json!({
                "code": refusal.code.as_str(),
                "field": refusal.field,
                "offset": refusal.offset,
                "expected": refusal.expected,
                "found": refusal.found,
                "hint": refusal.hint,
            });
        }
        json!({ "error": error })
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let exit = match refusal.code {
            Code::Io | Code::OutOfMemory | Code::FileChanged => Exit::Environment,
            _ => Exit::BadInput,
        };
        Failure {
            refusal: Some(Box::new(refusal.clone())),
            ..Failure::new(exit, refusal)
        }
    }
}

impl From<engine::Error> for Failure {
    fn from(error: engine::Error) -> Self {
        match error {
            engine::Error::Refused(refusal) => (*refusal).into(),
            engine::Error::Eval(error) => error.into(),
            engine::Error::Template(error) => Failure::input(error),
        }
    }
}

impl From<EvalError> for Failure {
    fn from(error: EvalError) -> Self {
        match error {
            EvalError::OutOfMemory(refusal) => refusal.into(),
            EvalError::NotFinite { .. } => Failure::new(Exit::Diverges, error),
            _ => Failure::input(error),
        }
    }
}
