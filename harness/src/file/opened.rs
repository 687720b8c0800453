//! A model file opened to be looked at: read into memory, hashed, its directory parsed.

use std::path::Path;

use engine::bytes::ModelBytes;
use engine::flavor::{Detection, Flavor, Shape, detect, i2_s, tl2};
use engine::gguf::tensor_type::id;
use engine::gguf::{Gguf, TensorInfo, TypeId};
use engine::refusal::Refusal;

use crate::exit::Failure;
use crate::file::provenance::{self, Input};
use crate::file::reading::Reading;
use crate::io::process::map_or_read;
use crate::io::{progress, threads};

/// A parsed file, and what it takes to know that it did not change meanwhile.
pub struct Opened {
    /// Path and hash.
    pub input: Input,
    /// The file's directory and metadata.
    pub gguf: Gguf,
    /// Size of the file in bytes.
    pub size: u64,
    /// The file, which nobody who looks at it need read again.
    pub bytes: ModelBytes,
}

impl Opened {
    /// Reads and parses, in the dialect that was chosen, if one was.
    pub fn read(path: &Path, reading: Reading) -> Result<Self, Failure> {
        let waiting = progress::spinner("reading and hashing the model");
        let opened = Self::read_and(path, reading, |_| ());
        waiting.finish_and_clear();
        opened.map(|(opened, ())| opened)
    }

    /// Parses, and hashes while `look` looks: of a large file either takes a second, and copying it
    /// into memory would take another.
    pub fn read_and<R>(
        path: &Path,
        reading: Reading,
        look: impl FnOnce(&Gguf) -> R,
    ) -> Result<(Self, R), Failure> {
        let (bytes, stamp) = ModelBytes::open(path, map_or_read())?;
        let gguf = Gguf::parse_as(ModelBytes::clone(&bytes), reading.dialect)?;
        let (sha256, found) = threads::beside(|| provenance::sha256(&bytes), || look(&gguf));
        let opened = Opened {
            input: Input::of(path, sha256, stamp),
            gguf,
            size: bytes.len() as u64,
            bytes,
        };
        Ok((opened, found))
    }
}

/// Whether the bytes of a tensor have to be looked at to know how to read it.
pub fn is_packed(tensor: &TensorInfo) -> bool {
    let full_width = || tensor.gap >= tensor.elements().saturating_mul(4);
    match tensor.type_id {
        id::I2_S_OR_I32 => !full_width(),
        _ if tensor.dialect.is_none() => false, // whose it is comes first
        number => {
            let contested = matches!(tensor.meaning(), TypeId::Contested(_));
            contested || !Flavor::of_type(number).is_empty()
        }
    }
}

/// The one scale of a whole tensor, where its packing has one.
pub fn scale(gguf: &Gguf, tensor: &TensorInfo, flavor: Flavor) -> Option<f32> {
    let shape = Shape::of(tensor).ok()?;
    match flavor {
        Flavor::Tl2 => Some(tl2::scale(&gguf.region(tensor), shape)),
        // TL1 has it where I2_S has it, behind as many bytes of codes.
        _ if flavor.is_i2_s() || flavor == Flavor::Tl1 => {
            Some(i2_s::scale(&gguf.region(tensor), shape))
        }
        _ => None,
    }
}

/// What every packed tensor was found to be, in file order.
pub fn packings(
    gguf: &Gguf,
    forced: Option<Flavor>,
) -> impl Iterator<Item = (&TensorInfo, Result<Detection, Refusal>)> {
    let packed = gguf.tensors.iter().filter(|tensor| is_packed(tensor));
    packed.map(move |tensor| (tensor, detect(gguf, tensor, forced)))
}
