//! A model file, written anew by the library's own quantiser.
#![forbid(unsafe_code)]

use std::path::Path;

use ffi::RequantizeOptions;

use super::{Reference, refused};
use crate::reference::isolation::{Channel, Stop};

impl Reference {
    /// Writes the model at `from` to `to`, its matrices as the library's `file_type` says.
    pub(super) fn requantize(
        &self,
        from: &Path,
        to: &Path,
        file_type: i32,
        channel: &mut Channel,
    ) -> Result<(), Stop> {
        let options = RequantizeOptions {
            file_type,
            threads: 1,
            allow_requantize: true,
            pure: false,
            only_copy: false,
            quantize_output: true,
        };
        channel.phase("writing the weights anew")?;
        let written = self.library.requantize(from, to, &options);
        written.map_err(refused)
    }
}
