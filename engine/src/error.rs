//! The one error that whatever goes wrong between a file and a text converts into.
#![forbid(unsafe_code)]

use crate::refusal::Refusal;
use crate::session::EvalError;
#[cfg(feature = "chat")]
use crate::template::TemplateError;

/// What went wrong.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// A file, or what was asked, is not acceptable; a stable code says why.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// A pass was not computed, or what it computed is not usable.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// The model's chat template made no prompt.
    #[cfg(feature = "chat")]
    #[error(transparent)]
    Template(#[from] TemplateError),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Error::Refused(Box::new(refusal))
    }
}
