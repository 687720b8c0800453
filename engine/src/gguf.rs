//! A GGUF file: header, metadata and tensor directory, with every rule of the format enforced
//! before anyone sees a value.
//!
//! For every byte string: no panic, time linear in its length, and memory for the index alone,
//! asked for only after the file has shown that it holds what its counts claim.
#![forbid(unsafe_code)]

pub mod array;
mod cursor;
pub mod dialect;
pub mod directory;
pub mod finite;
mod layout;
pub mod metadata;
mod oddity;
pub mod tensor_type;
pub mod value;
pub mod writer;

use crate::bytes::{ByteRange, ModelBytes};
use crate::refusal::{Code, Refusal};

use cursor::Cursor;
use dialect::{Dialect, Spoken, Written};
use layout::{DEFAULT_ALIGNMENT, Frame};
use oddity::Oddities;

pub use array::{Array, ValueType};
pub use directory::{Directory, TensorInfo};
pub use metadata::Metadata;
pub use oddity::Warning;
pub use tensor_type::{TensorType, TypeId};
pub use value::Value;
pub use writer::Writer;

const MAGIC: &[u8; 4] = b"GGUF";
/// Larger alignments than this only serve to move the data out of the file.
const MAX_ALIGNMENT: u64 = 1 << 24;

/// A parsed and validated file.
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
    /// Whose file it is, with the evidence.
    pub spoken: Spoken,
    /// What is odd about the file.
    pub warnings: Vec<Warning>,
    bytes: ModelBytes,
}

impl Gguf {
    /// Parses and validates. Reads nothing of the weights but where only they tell whose file it
    /// is.
    pub fn parse(bytes: ModelBytes) -> Result<Self, Refusal> {
        Self::parse_as(bytes, None)
    }

    /// The same, read in a dialect that somebody chose.
    pub fn parse_as(bytes: ModelBytes, forced: Option<Dialect>) -> Result<Self, Refusal> {
        let mut cursor = Cursor::new(&bytes, 0);
        let mut odd = Oddities::default();
        let header = Header::read(&mut cursor)?;
        let metadata = Metadata::read(&bytes, &mut cursor, header.keys, &mut odd)?;
        let mut tensors = Directory::read(&mut cursor, header.tensors)?;
        metadata.check_duplicates()?;
        tensors.check_duplicates()?;
        tensors.check_dims()?;
        let alignment = match header.more {
            Some(more) => more.alignment,
            None => alignment(&metadata)?,
        };
        let data_start = match header.more {
            Some(more) => more.data_start,
            None => cursor.at().next_multiple_of(alignment),
        };
        let (spoken, corrections) = {
            let data = bytes.get(data_start as usize..).unwrap_or_default();
            let tensors = tensors.as_mut_slice();
            let written = Written {
                metadata: &metadata,
                spans: dialect::spans(tensors, data.len() as u64),
                tensors,
                data,
                alignment,
                long_header: header.more.is_some(),
            };
            dialect::settle(&written, forced)?
        };
        tensors.settle(&spoken, &corrections);
        tensors.check_types()?;
        let alignment = if corrections.unpadded { 1 } else { alignment };
        let frame = Frame {
            alignment,
            data_start,
            file_len: bytes.len() as u64,
        };
        layout::settle(&mut tensors, &frame, &mut odd)?;
        Ok(Gguf {
            version: header.version,
            alignment,
            data_start,
            metadata,
            tensors,
            spoken,
            warnings: odd.into_warnings(),
            bytes,
        })
    }

    /// All bytes a tensor may claim: from its offset to the next tensor or the end of the file.
    pub fn region(&self, tensor: &TensorInfo) -> ByteRange {
        self.bytes
            .range(tensor.offset..tensor.offset + tensor.gap)
            .expect("validated when the file was parsed")
    }
}

/// The first 24 bytes, and the 12 that BitNet-rs puts behind them.
struct Header {
    version: u32,
    tensors: u64,
    keys: u64,
    more: Option<More>,
}

/// What a header of 36 bytes says in the last twelve.
#[derive(Clone, Copy)]
struct More {
    alignment: u64,
    data_start: u64,
}

impl More {
    /// Told from the first key, whose length these bytes would be: as a length they reach beyond
    /// the file, as an alignment and an offset they make sense.
    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        let mut ahead = cursor.clone();
        let length = ahead.clone().u64("header").ok()?;
        let alignment = u64::from(ahead.u32("header").ok()?);
        let data_start = ahead.u64("header").ok()?;
        let end = ahead.at() + ahead.remaining();
        let aligned = is_alignment(alignment) && data_start.is_multiple_of(alignment);
        let inside = (ahead.at()..=end).contains(&data_start);
        (length > end && aligned && inside).then(|| {
            *cursor = ahead;
            More {
                alignment,
                data_start,
            }
        })
    }
}

/// What is downloaded in place of a model, told from its first four bytes.
fn mistaken_for_a_model(magic: &[u8]) -> &'static str {
    match magic {
        b"vers" => "a Git LFS pointer? `git lfs pull` fetches the file it stands for",
        b"<!DO" | b"<!do" | b"<htm" | b"<HTM" => "a web page? fetch the file itself, not its page",
        b"PK\x03\x04" => "a ZIP archive, as PyTorch writes them; convert it to GGUF first",
        b"FUGG" => "a big-endian file? only little-endian ones are supported",
        b"\0\0\0\0" => "the file begins with zeros: a download that was never finished?",
        _ => "this is not a GGUF file",
    }
}

impl Header {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Refusal> {
        let magic = cursor.take(4, "header.magic")?;
        if magic != MAGIC {
            let found = format!("\"{}\"", magic.escape_ascii());
            let refusal = Refusal::new(Code::BadMagic, "header.magic", "\"GGUF\"", found).at(0);
            return Err(refusal.hint(mistaken_for_a_model(magic)));
        }
        let version = cursor.u32("header.version")?;
        if version != 2 && version != 3 {
            let refusal = Refusal::new(Code::BadVersion, "header.version", "2 or 3", version).at(4);
            return Err(match version.swap_bytes() {
                1..=3 => refusal.hint("a big-endian file? only little-endian ones are supported"),
                _ => refusal,
            });
        }
        let tensors = count(cursor, "header.tensor_count", directory::MIN_ENTRY_BYTES, 8)?;
        let keys = count(
            cursor,
            "header.metadata_count",
            metadata::MIN_ENTRY_BYTES,
            0,
        )?;
        Ok(Header {
            version,
            tensors,
            keys,
            more: More::read(cursor),
        })
    }
}

/// A count of entries of at least `least` bytes each, which must fit into what follows it;
/// `between` bytes of the header still come before the entries.
fn count(cursor: &mut Cursor<'_>, field: &str, least: u64, between: u64) -> Result<u64, Refusal> {
    let start = cursor.at();
    let count = cursor.u64(field)?;
    let room = cursor.remaining().saturating_sub(between);
    let most = (room / least).min(u32::MAX.into());
    if count > most {
        let rule = format!("at most {most}, what the rest of the file can hold");
        let refusal = Refusal::new(Code::CountImplausible, field, rule, count).at(start);
        let len = cursor.at() + cursor.remaining();
        return Err(refusal.hint(format!("a file of {len} bytes: cut off?")));
    }
    Ok(count)
}

fn alignment(metadata: &Metadata) -> Result<u64, Refusal> {
    let key = "general.alignment";
    let alignment = match metadata.get(key) {
        None => return Ok(DEFAULT_ALIGNMENT),
        Some(Value::U32(alignment)) => u64::from(alignment),
        Some(other) => return Err(metadata.wrong_type(key, "a uint32", other)),
    };
    if !is_alignment(alignment) {
        let rule = format!("a power of two of 8..={MAX_ALIGNMENT}");
        return Err(metadata.refuse(Code::AlignInvalid, key, rule, alignment));
    }
    Ok(alignment)
}

fn is_alignment(alignment: u64) -> bool {
    alignment.is_power_of_two() && (8..=MAX_ALIGNMENT).contains(&alignment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_downloaded_in_place_of_a_model_is_told() {
        let hint = |bytes: &[u8]| {
            let refusal = Gguf::parse(ModelBytes::from_vec(bytes.to_vec())).err();
            let refusal = refusal.expect("no model");
            assert_eq!(refusal.code, Code::BadMagic);
            refusal.to_string()
        };
        let pointer = hint(b"version https://git-lfs.github.com/spec/v1\n");
        assert!(pointer.contains("git lfs pull"), "{pointer}");
        assert!(hint(b"<!DOCTYPE html>").contains("web page"));
        assert!(hint(&[0; 64]).contains("never finished"));
        assert!(hint(b"sixteen bytes...").contains("not a GGUF file"));
    }
}
