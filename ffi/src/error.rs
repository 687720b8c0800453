//! Everything that can go wrong between asking for a reference and its answer.
#![forbid(unsafe_code)]

use std::path::PathBuf;

/// Why there is no answer. Each text names the thing at fault and, where there is one, the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No reference was asked for, or the one asked for is not there.
    #[error("{what}; to get one, run: {command}")]
    Absent {
        /// What is missing.
        what: String,
        /// The command that makes it.
        command: String,
    },
    /// This build of the program cannot open a shared library.
    #[error(
        "this build cannot open a reference: it was made without the feature `live`, or not \
             for Unix; {0} would be opened"
    )]
    NotCompiledIn(PathBuf),
    /// A name that is neither a known reference nor a directory.
    #[error("{name:?} is neither a directory nor a known reference; known are {known}")]
    UnknownName {
        /// As typed.
        name: String,
        /// Those there are.
        known: String,
    },
    /// A directory that holds half a reference, or more than one.
    #[error("{}: {what}", dir.display())]
    NotAReference {
        /// The directory.
        dir: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A directory with source or headers, perhaps, but no library.
    #[error("{}: holds no built libllama", .0.display())]
    NotBuilt(PathBuf),
    /// A checkout without the part that is to be built.
    #[error(
        "{}: {submodule} is empty: a plain `git clone` leaves a submodule out; to fetch it, run: \
             cd '{}' && git submodule update --init --recursive", dir.display(), dir.display()
    )]
    EmptySubmodule {
        /// The checkout.
        dir: PathBuf,
        /// The submodule's folder inside it.
        submodule: String,
    },
    /// A tool that prepares references failed, or is not installed.
    #[error("{step} failed: `{command}` {how}\n{log}")]
    Tool {
        /// What was being done.
        step: &'static str,
        /// The command line.
        command: String,
        /// How it ended.
        how: String,
        /// The last lines it wrote.
        log: String,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system could not load the library.
    #[error("{} cannot be loaded: {reason}", path.display())]
    Load {
        /// The library.
        path: PathBuf,
        /// What the dynamic linker said.
        reason: String,
    },
    /// The library speaks another version of our own C interface.
    #[error("{} has interface {found}, this program speaks {expected}; remove the file and prepare \
             the reference again", path.display())]
    Interface {
        /// The library.
        path: PathBuf,
        /// The version this program was compiled for.
        expected: u32,
        /// The version it answered.
        found: u32,
    },
    /// A process can hold one reference: a second would silently be given the first one's symbols.
    #[error("this process already opened {}; open {} in a process of its own",
            open.display(), asked.display())]
    SecondReference {
        /// The one that is open.
        open: PathBuf,
        /// The one asked for.
        asked: PathBuf,
    },
    /// The dynamic linker found another library than the one that was prepared.
    #[error("the prepared library is {}, but the loaded one is {}",
            expected.display(), loaded.display())]
    WrongLibrary {
        /// What was prepared.
        expected: PathBuf,
        /// What was loaded.
        loaded: PathBuf,
    },
    /// Rounding mode or denormal handling changed, which changes our own numbers, too.
    #[error("the floating-point control register was {before:#x} and is {after:#x} after {during}")]
    FloatEnvironment {
        /// Before.
        before: u64,
        /// After.
        after: u64,
        /// The call in between.
        during: &'static str,
    },
    /// The reference, or the layer in front of it, answered no.
    #[error("{call}: {status}: {message}")]
    Refused {
        /// The function.
        call: &'static str,
        /// The kind of answer.
        status: Status,
        /// Its own sentence.
        message: String,
    },
    /// An argument that cannot even be handed over.
    #[error("{call}: {what}")]
    Argument {
        /// The function.
        call: &'static str,
        /// What is wrong with the argument.
        what: String,
    },
}

/// The kinds of answer that are not success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The caller broke a rule.
    Invalid,
    /// This generation of the library cannot do it.
    Unsupported,
    /// The library said no.
    Failed,
    /// The library threw.
    Exception,
    /// A buffer is too short.
    TooSmall,
    /// A node callback asked to stop.
    Stopped,
    /// A number the interface does not define.
    Unknown(i32),
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = match self {
            Status::Invalid => "invalid call",
            Status::Unsupported => "unsupported",
            Status::Failed => "refused",
            Status::Exception => "exception",
            Status::TooSmall => "buffer too small",
            Status::Stopped => "stopped",
            Status::Unknown(number) => return write!(f, "status {number}"),
        };
        f.write_str(word)
    }
}

impl Error {
    /// Whether the reference lacks the function altogether, which is not a failure of the caller.
    pub fn is_unsupported(&self) -> bool {
        matches!(
            self,
            Error::Refused {
                status: Status::Unsupported,
                ..
            }
        )
    }

    pub(crate) fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Error::Io {
            path: path.into(),
            source,
        }
    }

    pub(crate) fn not_a_reference(dir: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        Error::NotAReference {
            dir: dir.into(),
            what: what.into(),
        }
    }
}
