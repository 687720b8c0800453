//! Tensor names, dims, types, and where their bytes lie.
#![forbid(unsafe_code)]

use super::cursor::Cursor;
use super::tensor_type::{TypeId, id};
use crate::gguf::dialect::{Corrections, Dialect, Spoken};
use crate::refusal::{Code, Refusal};

/// The C readers keep names in 64 bytes, the last of which is a NUL.
const MAX_NAME_BYTES: usize = 63;
const MAX_DIMS: u32 = 4;
/// Name length, one byte of name, dimension count, one dimension, type, offset.
pub(super) const MIN_ENTRY_BYTES: u64 = 8 + 1 + 4 + 8 + 4 + 8;

/// One entry of the tensor table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name, UTF-8, at most 63 bytes.
    pub name: String,
    /// Dimensions in ggml order: `dims[0]` is contiguous, also where a dialect writes rows first.
    pub dims: Vec<u64>,
    /// The type id as written, or what should have been written. What it means depends on the
    /// dialect.
    pub type_id: u32,
    /// Whose type id it is; `None` where the possible dialects mean different things by it.
    pub dialect: Option<Dialect>,
    /// Absolute offset of the data in the file.
    pub offset: u64,
    /// Bytes from there to the next tensor's data, or to the end of the file.
    pub gap: u64,
    /// Absolute offset of this entry in the tensor table.
    pub declared_at: u64,
}

impl TensorInfo {
    /// Contiguous dimension, the length of a row.
    pub fn cols(&self) -> u64 {
        self.dims[0]
    }

    /// Product of the other dimensions.
    pub fn rows(&self) -> u64 {
        self.dims[1..].iter().product()
    }

    /// Product of all dimensions; counts in an `i64`.
    pub fn elements(&self) -> u64 {
        self.dims.iter().product()
    }

    /// What its type id means.
    pub fn meaning(&self) -> TypeId {
        let several = TypeId::Contested("what several dialects read differently");
        self.dialect
            .map_or(several, |dialect| TypeId::of(self.type_id, dialect))
    }

    /// Bytes of the data, where the type id alone tells.
    pub fn known_bytes(&self) -> Option<u64> {
        match self.meaning() {
            TypeId::Known(known) => known.bytes(self.cols(), self.rows()),
            _ => None,
        }
    }

    fn dims_at(&self) -> u64 {
        self.declared_at + 8 + self.name.len() as u64 + 4
    }

    /// Where in the file its type is.
    pub(crate) fn type_at(&self) -> u64 {
        self.dims_at() + 8 * self.dims.len() as u64
    }

    /// A refusal about this tensor. `part` is `dims`, `dims[1]`, `type`, `offset` or `data`, and
    /// decides which byte of the file is named.
    pub fn refuse(
        &self,
        code: Code,
        part: &str,
        expected: impl std::fmt::Display,
        found: impl std::fmt::Display,
    ) -> Refusal {
        let field = format!("tensors.\"{}\".{part}", self.name);
        let (dims_at, type_at) = (self.dims_at(), self.type_at());
        let at = match part {
            "dims" | "dims[0]" => dims_at,
            "dims[1]" => dims_at + 8,
            "dims[2]" => dims_at + 16,
            "dims[3]" => dims_at + 24,
            "type" => type_at,
            "offset" => type_at + 4,
            part if part.starts_with("data") => self.offset,
            _ => self.declared_at,
        };
        Refusal::new(code, field, expected, found).at(at)
    }
}

/// The tensor table, in file order, with lookup by name.
#[derive(Default)]
pub struct Directory {
    tensors: Vec<TensorInfo>,
    /// Positions in `tensors`, in the order of the names.
    by_name: Vec<u32>,
}

impl Directory {
    /// Takes `count` entries apart. Their offsets are still relative to the data section.
    pub(super) fn read(cursor: &mut Cursor<'_>, count: u64) -> Result<Self, Refusal> {
        // Walked once for the errors and once for the entries: memory is asked for only when
        // the file has shown that it holds as many entries as it says.
        let mut ahead = cursor.clone();
        for index in 0..count {
            read_entry(&mut ahead, index)?;
        }
        let mut tensors = Vec::with_capacity(count as usize);
        for index in 0..count {
            tensors.push(read_entry(cursor, index)?);
        }
        let mut by_name: Vec<u32> = (0..count as u32).collect();
        // Sorted, not hashed: no choice of names makes this slow.
        by_name.sort_unstable_by_key(|&at| (&tensors[at as usize].name, at));
        Ok(Directory { tensors, by_name })
    }

    /// Each name once.
    pub(super) fn check_duplicates(&self) -> Result<(), Refusal> {
        let name = |at: u32| &self.tensors[at as usize].name;
        let same = |pair: &&[u32]| name(pair[0]) == name(pair[1]);
        let Some(pair) = self
            .by_name
            .windows(2)
            .filter(same)
            .min_by_key(|pair| pair[1])
        else {
            return Ok(());
        };
        let [first, again] = [pair[0], pair[1]].map(|at| &self.tensors[at as usize]);
        let rule = format!(
            "one tensor of that name, the one at byte {}",
            first.declared_at
        );
        let field = format!("tensors.\"{}\".name", again.name);
        Err(Refusal::new(Code::DuplicateTensor, field, rule, "a second").at(again.declared_at))
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&TensorInfo> {
        let found = self
            .by_name
            .binary_search_by(|&at| self.tensors[at as usize].name.as_str().cmp(name))
            .ok()?;
        Some(&self.tensors[self.by_name[found] as usize])
    }

    /// All tensors in file order.
    pub fn iter(&self) -> std::slice::Iter<'_, TensorInfo> {
        self.tensors.iter()
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// Dimensions that make a number of elements.
    pub(super) fn check_dims(&self) -> Result<(), Refusal> {
        self.tensors.iter().try_for_each(check_dims)
    }

    /// Tells every tensor whose it is, and corrects what is written otherwise than it is read.
    pub(super) fn settle(&mut self, spoken: &Spoken, corrections: &Corrections) {
        for tensor in &mut self.tensors {
            tensor.dialect = spoken.dialect_of(tensor.type_id);
            if corrections.rows_first {
                tensor.dims.reverse();
            }
        }
        for (index, channels) in &corrections.int8 {
            let tensor = &mut self.tensors[*index];
            (tensor.type_id, tensor.dims) = (id::I8, vec![channels.cols, channels.rows]);
        }
    }

    /// Types, and rows of whole blocks of them.
    pub(super) fn check_types(&self) -> Result<(), Refusal> {
        self.tensors.iter().try_for_each(check_type)
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [TensorInfo] {
        &mut self.tensors
    }
}

fn read_entry(cursor: &mut Cursor<'_>, index: u64) -> Result<TensorInfo, Refusal> {
    let declared_at = cursor.at();
    let raw = cursor.string(format_args!("tensors[{index}].name"))?;
    let name = check_name(raw).map_err(|(code, expected, found)| {
        Refusal::new(code, format!("tensors[{index}].name"), expected, found).at(declared_at)
    })?;
    let count_at = cursor.at();
    let count = cursor.u32(format_args!("tensors.\"{name}\".n_dims"))?;
    if count == 0 || count > MAX_DIMS {
        let field = format!("tensors.\"{name}\".n_dims");
        let rule = format!("1..={MAX_DIMS} dimensions");
        return Err(Refusal::new(Code::DimsInvalid, field, rule, count).at(count_at));
    }
    let mut dims = Vec::with_capacity(count as usize);
    for axis in 0..count {
        dims.push(cursor.u64(format_args!("tensors.\"{name}\".dims[{axis}]"))?);
    }
    let type_id = cursor.u32(format_args!("tensors.\"{name}\".type"))?;
    let offset = cursor.u64(format_args!("tensors.\"{name}\".offset"))?;
    Ok(TensorInfo {
        name: name.to_owned(),
        dims,
        type_id,
        dialect: None,
        offset,
        gap: 0,
        declared_at,
    })
}

fn check_name(raw: &[u8]) -> Result<&str, (Code, String, String)> {
    if raw.is_empty() {
        return Err((Code::NameEmpty, "at least 1 byte".into(), "0".into()));
    }
    if raw.len() > MAX_NAME_BYTES {
        let rule = format!("at most {MAX_NAME_BYTES} bytes");
        return Err((Code::NameTooLong, rule, raw.len().to_string()));
    }
    if let Some(at) = raw.iter().position(|&byte| byte == 0) {
        let found = format!("one after {at} of {} bytes", raw.len());
        return Err((Code::NameNul, "no NUL".into(), found));
    }
    std::str::from_utf8(raw).map_err(|error| {
        let found = format!("an invalid byte after {}", error.valid_up_to());
        (Code::NameNotUtf8, "UTF-8".into(), found)
    })
}

fn check_dims(tensor: &TensorInfo) -> Result<(), Refusal> {
    if let Some(axis) = tensor.dims.iter().position(|&dim| dim == 0) {
        let part = format!("dims[{axis}]");
        return Err(tensor.refuse(Code::DimsInvalid, &part, "at least 1", 0));
    }
    let counted = |elements: &u64| *elements < i64::MAX as u64;
    let product = tensor
        .dims
        .iter()
        .try_fold(1u64, |product, &dim| product.checked_mul(dim));
    if product.filter(counted).is_none() {
        let rule = format!("fewer than {} elements", i64::MAX);
        let found = format!("{:?}", tensor.dims);
        return Err(tensor.refuse(Code::SizeOverflow, "dims", rule, found));
    }
    Ok(())
}

fn check_type(tensor: &TensorInfo) -> Result<(), Refusal> {
    let id = tensor.type_id;
    match tensor.meaning() {
        TypeId::Unknown => {
            let rule = "a tensor type id of 0..=44, or one that its dialect has beyond";
            Err(tensor.refuse(Code::TensorTypeUnknown, "type", rule, id))
        }
        TypeId::Removed(name) => Err(tensor
            .refuse(
                Code::TensorTypeRemoved,
                "type",
                "a type still in use",
                format!("{id}, {name}"),
            )
            .hint("convert the model again with a current converter")),
        TypeId::Contested(_) => Ok(()),
        TypeId::Known(known) if !tensor.cols().is_multiple_of(known.block_elements) => {
            let rule = format!("a multiple of {} for {}", known.block_elements, known.name);
            Err(tensor.refuse(Code::BlockMismatch, "dims[0]", rule, tensor.cols()))
        }
        TypeId::Known(known) => tensor.known_bytes().map(|_| ()).ok_or_else(|| {
            let rule = format!("at most {} bytes", i64::MAX);
            let found = format!("{} elements of {}", tensor.elements(), known.name);
            tensor.refuse(Code::SizeOverflow, "dims", rule, found)
        }),
    }
}
