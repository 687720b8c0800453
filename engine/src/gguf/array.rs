//! Arrays that stay where they are in the file and are decoded while they are walked, so that a
//! vocabulary costs no memory until somebody builds a table from it.
#![forbid(unsafe_code)]

use super::cursor::{le_u32, le_u64};

/// The thirteen value types of the format, by their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum ValueType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    String,
    Array,
    U64,
    I64,
    F64,
}

impl ValueType {
    /// All types; the position is the id.
    pub const ALL: [ValueType; 13] = [
        ValueType::U8,
        ValueType::I8,
        ValueType::U16,
        ValueType::I16,
        ValueType::U32,
        ValueType::I32,
        ValueType::F32,
        ValueType::Bool,
        ValueType::String,
        ValueType::Array,
        ValueType::U64,
        ValueType::I64,
        ValueType::F64,
    ];

    /// The type with that id.
    pub fn from_id(id: u32) -> Option<Self> {
        usize::try_from(id)
            .ok()
            .and_then(|id| Self::ALL.get(id))
            .copied()
    }

    /// The id the format gives it.
    pub fn id(self) -> u32 {
        self as u32
    }

    /// Bytes of one value; for strings and arrays the least one can take.
    pub fn min_bytes(self) -> u64 {
        match self {
            ValueType::U8 | ValueType::I8 | ValueType::Bool => 1,
            ValueType::U16 | ValueType::I16 => 2,
            ValueType::U32 | ValueType::I32 | ValueType::F32 => 4,
            ValueType::U64 | ValueType::I64 | ValueType::F64 | ValueType::String => 8,
            ValueType::Array => 12,
        }
    }

    /// Whether every value takes exactly [`ValueType::min_bytes`].
    pub fn is_fixed(self) -> bool {
        !matches!(self, ValueType::String | ValueType::Array)
    }

    /// The name as the format's documents write it, e.g. `uint32`.
    pub fn name(self) -> &'static str {
        match self {
            ValueType::U8 => "uint8",
            ValueType::I8 => "int8",
            ValueType::U16 => "uint16",
            ValueType::I16 => "int16",
            ValueType::U32 => "uint32",
            ValueType::I32 => "int32",
            ValueType::F32 => "float32",
            ValueType::Bool => "bool",
            ValueType::String => "string",
            ValueType::Array => "array",
            ValueType::U64 => "uint64",
            ValueType::I64 => "int64",
            ValueType::F64 => "float64",
        }
    }
}

/// An array that still lies in the file. Everything it spans was checked when the file was
/// parsed, so walking it cannot fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Array<'a> {
    /// Type of the elements.
    pub element_type: ValueType,
    /// Number of elements.
    pub len: u64,
    /// The elements as written, up to the end of the array or beyond it.
    bytes: &'a [u8],
}

impl<'a> Array<'a> {
    /// `bytes` starts at the array's element type and has been checked by [`super::value::skip`].
    pub(super) fn at(bytes: &'a [u8]) -> Self {
        let element_type = ValueType::from_id(le_u32(bytes)).expect("checked by skip");
        Array {
            element_type,
            len: le_u64(&bytes[4..]),
            bytes: &bytes[12..],
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements as raw strings (the format does not promise UTF-8); `None` for other types.
    pub fn strings(&self) -> Option<impl Iterator<Item = &'a [u8]> + use<'a>> {
        let items = self.items_of(ValueType::String)?;
        Some(items.map(|item| &item[8..]))
    }

    /// The elements as `f32`; `None` for other types.
    pub fn f32s(&self) -> Option<impl Iterator<Item = f32> + use<'a>> {
        let items = self.items_of(ValueType::F32)?;
        Some(items.map(|item| f32::from_bits(le_u32(item))))
    }

    /// The elements as `f64`; `None` for other types.
    pub fn f64s(&self) -> Option<impl Iterator<Item = f64> + use<'a>> {
        let items = self.items_of(ValueType::F64)?;
        Some(items.map(|item| f64::from_bits(le_u64(item))))
    }

    /// The elements as truth values; `None` for other types.
    pub fn bools(&self) -> Option<impl Iterator<Item = bool> + use<'a>> {
        let items = self.items_of(ValueType::Bool)?;
        Some(items.map(|item| item[0] != 0))
    }

    /// The elements where the type is any integer, wide enough for all of them.
    pub fn integers(&self) -> Option<impl Iterator<Item = i128> + use<'a>> {
        let of = self.element_type;
        integer(of, &[0; 8])?;
        Some(
            self.items()
                .map(move |item| integer(of, item).expect("an integer type, see above")),
        )
    }

    /// The elements where they are arrays themselves; `None` for other types.
    pub fn arrays(&self) -> Option<impl Iterator<Item = Array<'a>> + use<'a>> {
        let items = self.items_of(ValueType::Array)?;
        Some(items.map(Array::at))
    }

    /// The bytes of each element, length prefixes included.
    pub(super) fn items(&self) -> Items<'a> {
        Items {
            of: self.element_type,
            left: self.len,
            bytes: self.bytes,
        }
    }

    fn items_of(&self, wanted: ValueType) -> Option<Items<'a>> {
        (self.element_type == wanted).then(|| self.items())
    }

    /// Bytes of all elements. Recursion ends: arrays are `value::MAX_DEPTH` deep at most.
    fn span(&self) -> usize {
        if self.element_type.is_fixed() {
            // The product lies inside the file, or the parser had refused it.
            return self.len as usize * self.element_type.min_bytes() as usize;
        }
        self.items().map(<[u8]>::len).sum()
    }
}

/// Walks the elements of an array without decoding them.
pub(super) struct Items<'a> {
    of: ValueType,
    left: u64,
    bytes: &'a [u8],
}

impl<'a> Iterator for Items<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let len = match self.of {
            ValueType::String => 8 + le_u64(self.bytes) as usize,
            ValueType::Array => 12 + Array::at(self.bytes).span(),
            fixed => fixed.min_bytes() as usize,
        };
        let (item, rest) = self.bytes.split_at(len);
        self.bytes = rest;
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.left as usize;
        (left, Some(left))
    }
}

/// An integer value of any width, `None` where the type is none.
pub(super) fn integer(of: ValueType, bytes: &[u8]) -> Option<i128> {
    Some(match of {
        ValueType::U8 => bytes[0].into(),
        ValueType::I8 => (bytes[0] as i8).into(),
        ValueType::U16 => u16::from_le_bytes([bytes[0], bytes[1]]).into(),
        ValueType::I16 => i16::from_le_bytes([bytes[0], bytes[1]]).into(),
        ValueType::U32 => le_u32(bytes).into(),
        ValueType::I32 => (le_u32(bytes) as i32).into(),
        ValueType::U64 => le_u64(bytes).into(),
        ValueType::I64 => (le_u64(bytes) as i64).into(),
        _ => return None,
    })
}
