//! Why an export ends before its file is there.
#![forbid(unsafe_code)]

use std::io;

use crate::refusal::Refusal;

/// What stands in the way of an export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A tensor cannot be written so.
    #[error("tensor {name}: {reason}")]
    Quantize {
        /// Name of the tensor.
        name: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// There are no tensors at all.
    #[error("there are no tensors to export")]
    Empty,
    /// Nobody writes a format of that name.
    #[error("no format {name:?} can be written; there are {known}")]
    UnknownFormat {
        /// As it was asked for.
        name: String,
        /// Those there are.
        known: String,
    },
    /// A pattern names nothing, so it is likely misspelled.
    #[error("no tensor is called {pattern:?}; the first is called {first:?}")]
    NothingNamed {
        /// The pattern.
        pattern: String,
        /// A name there is.
        first: String,
    },
    /// What says how important columns are does not, or not of this model.
    #[error("importance: {name}: {reason}")]
    Importance {
        /// A tensor or a key.
        name: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// The file that is read is not sound.
    #[error(transparent)]
    Source(#[from] Refusal),
    /// The file could not be written.
    #[error("writing: {0}")]
    Write(#[from] io::Error),
}
