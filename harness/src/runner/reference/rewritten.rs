//! A model file with its two-bit weights written anew, for libraries that cannot multiply I2_S.

use std::path::Path;

use engine::gguf::Gguf;

use super::Observing;
use crate::file::document::{Document, Format};
use crate::file::provenance::Input;
use crate::file::reading::Reading;
use crate::reference::client::Client;
use crate::reference::isolation::{Done, Request, WorkerExit};
use crate::reference::{Reference, Scratch};
use crate::runner::RunError;

/// What the weights become. The values stay the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Floats, which are multiplied with activations that were never rounded to eight bits.
    Wide,
    /// IQ2_BN, written by the library itself and multiplied with activations that are rounded to
    /// eight bits by a rule of its own.
    Iq2Bn,
}

/// The file type of IQ2_BN, as `ik_llama.cpp` numbers it.
const IQ2_BN: i32 = 137;
/// Its product aborts on shorter rows.
const IQ2_BN_COLUMNS: usize = 512;

impl Form {
    /// As in the names of arithmetics.
    pub fn name(self) -> &'static str {
        match self {
            Form::Wide => "wide",
            Form::Iq2Bn => "iq2bn",
        }
    }
}

impl Observing {
    /// A model with its weights in another form: the one asked for, or for a library that knows
    /// I2_S the packing it reads, or F32 where none holds the values. Nothing if they stay as they
    /// are.
    pub(super) fn rewritten(&self, model: &Input) -> Result<Option<Scratch>, RunError> {
        if self.form.is_none() && self.as_they_are {
            return Ok(None);
        }
        let path = &model.path;
        let (_, bytes) = Input::read(path).map_err(refused)?;
        let size = bytes.len() as u64;
        let Reading { dialect, flavor } = self.reading;
        let gguf = Gguf::parse_as(bytes, dialect).map_err(refused)?;
        let mut document = Document::read_as(&gguf, flavor).map_err(refused)?;
        let file = Scratch::reserve()?;
        let changed = match self.form {
            None => document.published(),
            Some(Form::Wide) => document.widen(&self.reference.hello().lacks),
            Some(Form::Iq2Bn) => Ok(1),
        };
        match self.form {
            _ if changed.map_err(refused)? == 0 => return Ok(None),
            None | Some(Form::Wide) => {
                file.fill(&document.file())?;
            }
            Some(Form::Iq2Bn) => {
                fits_iq2_bn(&document).map_err(RunError::Declined)?;
                // As many bits to a weight, and four bytes to a row instead of a tensor.
                write_iq2_bn(&self.reference, path, &file.path, 2 * size)?;
            }
        }
        Ok(Some(file.hashed()?))
    }
}

/// Has the library write the two-bit weights of a file as IQ2_BN, in a process that may write
/// a file of so many bytes, which is there already. Whether they fit is not asked: the library's
/// answer may be its death.
pub fn write_iq2_bn(
    reference: &Reference,
    from: &Path,
    to: &Path,
    bytes: u64,
) -> Result<(), WorkerExit> {
    requantize(reference, from, to, bytes, IQ2_BN, 1)
}

/// Has the library write a file anew with its own quantiser, as a type of file and on so many
/// threads, in a process that may write that one file, which is there already, and so many bytes.
pub fn requantize(
    reference: &Reference,
    from: &Path,
    to: &Path,
    bytes: u64,
    file_type: i32,
    threads: usize,
) -> Result<(), WorkerExit> {
    let request = Request::Requantize {
        from: from.to_owned(),
        to: to.to_owned(),
        file_type,
        threads,
    };
    let written = |done| matches!(done, Done::Requantized).then_some(());
    Client::writing(reference, bytes, Some(to)).ask(&request, written)
}

/// Whether the library can read the weights and multiply them as IQ2_BN.
fn fits_iq2_bn(document: &Document) -> Result<(), String> {
    let two_bits = document.tensors().iter().filter_map(|tensor| {
        let packing = tensor.format.filter(|format| format.is_i2_s())?;
        Some((packing, tensor.shape().cols))
    });
    let two_bits: Vec<_> = two_bits.collect();
    if let Some((packing, _)) = two_bits.iter().find(|(p, _)| *p != Format::I2_S_P128) {
        return Err(format!("it would read {packing} as i2_s-p128"));
    }
    match two_bits.iter().map(|(_, columns)| *columns).min() {
        None => Err("there are no two-bit weights to write as IQ2_BN".into()),
        Some(columns) if columns < IQ2_BN_COLUMNS => Err(format!(
            "rows of {columns}, and IQ2_BN is multiplied in rows of {IQ2_BN_COLUMNS} or more: \
             these weights are asked about as F32 alone"
        )),
        Some(_) => Ok(()),
    }
}

fn refused(error: impl ToString) -> RunError {
    RunError::Refused(error.to_string())
}
