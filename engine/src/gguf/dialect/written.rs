//! A file as it is written, before anything in it means something: who could have written each
//! tensor, going by its type number and its size.
#![forbid(unsafe_code)]

use super::meanings::OWN;
use super::{Channels, Dialect, content};
use crate::gguf::tensor_type::id;
use crate::gguf::{Metadata, TensorInfo, TypeId, Value};

/// Bytes that are looked at before the first one that is wrong ends it.
const PAGE: usize = 4096;

/// Header, metadata and tensor table.
pub(crate) struct Written<'a> {
    pub metadata: &'a Metadata,
    /// Their offsets count from the start of the data.
    pub tensors: &'a [TensorInfo],
    /// For each of them the bytes up to the next one, or to the end of the file.
    pub spans: Vec<u64>,
    pub data: &'a [u8],
    pub alignment: u64,
    /// Whether the header has 36 bytes.
    pub long_header: bool,
}

/// How the bytes of a tensor fit what a dialect says of its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// To the byte, or padded.
    Exact,
    /// There are more.
    Roomy,
    /// There are fewer, or the type is none, or rows are no whole blocks.
    Not,
}

/// How much a packing of two-bit weights takes.
pub(super) struct Packing {
    pub name: &'static str,
    /// Whose it is.
    pub dialect: Dialect,
    /// Elements and bytes of a block; a row starts one.
    block: (u64, u64),
    /// Bytes behind all of them, and whether rows must be whole blocks.
    trailer: u64,
}

/// All of them. That these are the sizes of the packings is tested where those are.
pub(super) const PACKINGS: [Packing; 4] = [
    packing("I2_S", Dialect::BitnetCpp, (64, 16), 32),
    packing("QK256", Dialect::BitnetRs, (256, 64), 0),
    packing("BitNet32-F16", Dialect::BitnetRs, (32, 10), 0),
    packing("Split32", Dialect::BitnetRs, (32, 8), 0),
];

const fn packing(name: &'static str, dialect: Dialect, block: (u64, u64), trailer: u64) -> Packing {
    Packing {
        name,
        dialect,
        block,
        trailer,
    }
}

/// Bytes of one of them, by its name.
#[cfg(test)]
pub(crate) fn bytes_of_packing(name: &str, cols: u64, rows: u64) -> Option<u64> {
    let packing = PACKINGS.iter().find(|packing| packing.name == name);
    packing.expect("a packing").bytes(cols, rows)
}

impl Packing {
    fn bytes(&self, cols: u64, rows: u64) -> Option<u64> {
        let (elements, bytes) = self.block;
        let whole = self.trailer == 0 || cols.is_multiple_of(elements);
        let row = cols.div_ceil(elements).checked_mul(bytes)?;
        row.checked_mul(rows)?
            .checked_add(self.trailer)
            .filter(|_| whole)
    }
}

/// Bytes up to the next tensor, or to the end of so many bytes of data.
pub(crate) fn spans(tensors: &[TensorInfo], data: u64) -> Vec<u64> {
    let mut starts: Vec<u64> = tensors.iter().map(|tensor| tensor.offset).collect();
    starts.sort_unstable();
    let end = |tensor: &TensorInfo| {
        let behind = starts.partition_point(|&start| start <= tensor.offset);
        starts.get(behind).copied().unwrap_or(data).min(data)
    };
    let span = |tensor: &TensorInfo| end(tensor).saturating_sub(tensor.offset);
    tensors.iter().map(span).collect()
}

impl<'a> Written<'a> {
    /// The bytes of a tensor: none where it lies outside of the file.
    pub(super) fn bytes(&self, index: usize) -> &'a [u8] {
        let start = usize::try_from(self.tensors[index].offset).ok();
        let end = start.and_then(|start| start.checked_add(self.spans[index] as usize));
        let range = start.zip(end);
        range
            .and_then(|(start, end)| self.data.get(start..end))
            .unwrap_or_default()
    }

    /// The text under a key.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        match self.metadata.get(key) {
            Some(Value::String(raw)) => Some(String::from_utf8_lossy(raw).into_owned()),
            _ => None,
        }
    }

    /// Every tensor whose type number means something of its own in some dialect, or is a packing
    /// that the bytes decide.
    pub(super) fn contested(&self) -> impl Iterator<Item = usize> {
        let own = |number| OWN.iter().any(|own| own.number == number);
        let packed = |number| matches!(number, id::I2_S | id::I2_S_OR_I32 | id::TL1 | id::TL2);
        (0..self.tensors.len()).filter(move |&index| {
            let number = self.tensors[index].type_id;
            own(number) || packed(number)
        })
    }

    /// How a tensor fits a dialect, with its dimensions as written or the other way round.
    pub(super) fn fit(&self, index: usize, dialect: Dialect, rows_first: bool) -> Fit {
        let (tensor, span) = (&self.tensors[index], self.spans[index]);
        let (cols, rows) = dims(tensor, rows_first);
        match TypeId::of(tensor.type_id, dialect) {
            TypeId::Known(known) if cols.is_multiple_of(known.block_elements) => known
                .bytes(cols, rows)
                .map_or(Fit::Not, |need| self.fit_of(need, span)),
            TypeId::Contested(_) => {
                let exact = |packing: &Packing| self.is_exactly(index, packing, rows_first);
                if PACKINGS.iter().any(exact) {
                    Fit::Exact
                } else {
                    Fit::Roomy
                }
            }
            _ => Fit::Not,
        }
    }

    /// Whether a packing of two-bit weights takes just the bytes there are.
    pub(super) fn is_exactly(&self, index: usize, packing: &Packing, rows_first: bool) -> bool {
        let (cols, rows) = dims(&self.tensors[index], rows_first);
        let needed = packing.bytes(cols, rows);
        let stands = matches!(self.tensors[index].type_id, id::I2_S | id::I2_S_OR_I32);
        stands && needed.is_some_and(|need| self.fit_of(need, self.spans[index]) == Fit::Exact)
    }

    /// Whether codes and scale allow I2_S; the size is right.
    pub(super) fn can_be_i2_s(&self, index: usize) -> bool {
        let codes = self.tensors[index].elements() as usize / 4;
        let bytes = self.bytes(index);
        let scale = bytes[codes..].first_chunk().map(|b| f32::from_le_bytes(*b));
        let threes = |page: &[u8]| page.iter().fold(0, |seen, b| seen | b & b >> 1) & 0b0101_0101;
        let no_code_is_3 = bytes[..codes].chunks(PAGE).all(|page| threes(page) == 0);
        no_code_is_3 && scale.is_some_and(content::sane)
    }

    fn fit_of(&self, need: u64, span: u64) -> Fit {
        let padded = need.checked_next_multiple_of(self.alignment);
        if need == span || padded == Some(span) {
            Fit::Exact
        } else if need < span {
            Fit::Roomy
        } else {
            Fit::Not
        }
    }

    /// INT8 that says it is F32, if a tensor is that.
    pub(super) fn channels(&self, index: usize) -> Option<Channels> {
        let tensor = &self.tensors[index];
        let flat = tensor.type_id == id::F32 && tensor.rows() == 1;
        let bytes = usize::try_from(tensor.cols().checked_mul(4)?).ok()?;
        let bytes = self.bytes(index).get(..bytes).filter(|_| flat)?;
        Channels::of(bytes)
    }

    /// Whether the embedding's dimensions show that rows are written first.
    pub(super) fn embedding_is_rows_first(&self) -> bool {
        let mut keys = self.metadata.iter();
        let length = keys.find_map(|(key, value)| {
            key.ends_with(".embedding_length")
                .then(|| value.as_integer())?
        });
        let length = length.and_then(|length| u64::try_from(length).ok());
        let mut tensors = self.tensors.iter();
        let embedding = tensors.find(|tensor| {
            matches!(
                tensor.name.as_str(),
                "token_embd.weight" | "tok_embeddings.weight"
            )
        });
        match (length, embedding.map(|tensor| tensor.dims.as_slice())) {
            (Some(length), Some(&[first, second])) => first != length && second == length,
            _ => false,
        }
    }
}

/// Length of a row and number of rows.
fn dims(tensor: &TensorInfo, rows_first: bool) -> (u64, u64) {
    match tensor.dims[..] {
        [rows, cols] if rows_first => (cols, rows),
        _ => (tensor.cols(), tensor.rows()),
    }
}
