//! A GGUF file: header, metadata and tensor directory, with every rule of the format enforced
//! before anyone sees a value.
#![forbid(unsafe_code)]

pub mod directory;
pub mod value;

use crate::bytes::{ByteRange, ModelBytes};
use crate::refusal::Refusal;

pub use directory::{Directory, TensorInfo};
pub use value::{Array, Metadata, Value};

/// Something unusual that does not make the file unusable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Stable upper-case name, e.g. `TRAILING_DATA`.
    pub name: &'static str,
    /// The field or tensor it is about.
    pub field: String,
    /// One sentence.
    pub detail: String,
}

/// A parsed and validated file. Cloning is cheap where the bytes are concerned.
pub struct Gguf {
    /// Format version, 2 or 3.
    pub version: u32,
    /// Alignment of tensor data, a power of two.
    pub alignment: u64,
    /// Where the data section starts in the file.
    pub data_start: u64,
    /// The key-value section.
    pub metadata: Metadata,
    /// The tensors, in file order, found by name.
    pub tensors: Directory,
    /// What is odd about the file.
    pub warnings: Vec<Warning>,
    bytes: ModelBytes,
}

impl Gguf {
    /// Parses and validates. Reads nothing of the weights.
    pub fn parse(_bytes: ModelBytes) -> Result<Self, Refusal> {
        todo!("gguf")
    }

    /// All bytes a tensor may claim: from its offset to the next tensor or the end of the file.
    pub fn region(&self, tensor: &TensorInfo) -> ByteRange {
        self.bytes
            .range(tensor.offset..tensor.offset + tensor.gap)
            .expect("validated when the file was parsed")
    }
}
