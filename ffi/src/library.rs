//! A reference, open: where models and single functions are had from.
#![forbid(unsafe_code)]

use std::path::Path;

use crate::error::Error;
use crate::facts::{Identity, ModelOptions, RequantizeOptions};
use crate::kernels::{self, Kernels};
use crate::loaded::Loaded;
use crate::log;
use crate::model::Model;
use crate::reference::Prepared;

/// A reference, open in this process until the process ends.
#[derive(Debug, Clone, Copy)]
pub struct Library(&'static Loaded);

impl Library {
    /// Loads a prepared reference. A process has one: the same again is handed out again, another
    /// is refused.
    pub fn open(prepared: &Prepared) -> Result<Self, Error> {
        Loaded::open(prepared).map(Library)
    }

    /// What the library says of itself.
    pub fn identity(&self) -> &Identity {
        self.0.identity()
    }

    /// Loads a model file.
    pub fn model(&self, file: &Path, options: &ModelOptions) -> Result<Model, Error> {
        Model::open(self.0, file, options)
    }

    /// Single functions of the library.
    pub fn kernels(&self) -> Kernels {
        Kernels::of(self.0)
    }

    /// Has the library write `from` anew as `to`.
    pub fn requantize(
        &self,
        from: &Path,
        to: &Path,
        options: &RequantizeOptions,
    ) -> Result<(), Error> {
        kernels::requantize(self.0, from, to, options)
    }

    /// The last of what the library logged.
    pub fn log_tail(&self) -> String {
        log::tail()
    }
}
