//! One metadata value: how it is checked, once, and how it is decoded afterwards.
#![forbid(unsafe_code)]

use std::fmt::Display;

use super::array::{Array, ValueType};
use super::cursor::{Cursor, le_u32, le_u64};
use super::oddity::Oddities;
use crate::refusal::{Code, Refusal};

/// Arrays inside arrays are legal but nobody writes them; deeper than this is an attack.
pub(super) const MAX_DEPTH: usize = 8;

/// One metadata value. Text and arrays borrow from the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)] // the thirteen types of the format
pub enum Value<'a> {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    /// Raw bytes: the format does not promise UTF-8.
    String(&'a [u8]),
    Array(Array<'a>),
    U64(u64),
    I64(i64),
    F64(f64),
}

impl<'a> Value<'a> {
    /// `bytes` starts at the value and has been checked by [`skip`].
    pub(super) fn decode(of: ValueType, bytes: &'a [u8]) -> Self {
        match of {
            ValueType::U8 => Value::U8(bytes[0]),
            ValueType::I8 => Value::I8(bytes[0] as i8),
            ValueType::U16 => Value::U16(u16::from_le_bytes([bytes[0], bytes[1]])),
            ValueType::I16 => Value::I16(i16::from_le_bytes([bytes[0], bytes[1]])),
            ValueType::U32 => Value::U32(le_u32(bytes)),
            ValueType::I32 => Value::I32(le_u32(bytes) as i32),
            ValueType::F32 => Value::F32(f32::from_bits(le_u32(bytes))),
            ValueType::Bool => Value::Bool(bytes[0] != 0),
            ValueType::String => Value::String(&bytes[8..8 + le_u64(bytes) as usize]),
            ValueType::Array => Value::Array(Array::at(bytes)),
            ValueType::U64 => Value::U64(le_u64(bytes)),
            ValueType::I64 => Value::I64(le_u64(bytes) as i64),
            ValueType::F64 => Value::F64(f64::from_bits(le_u64(bytes))),
        }
    }

    /// The type of this value.
    pub fn value_type(&self) -> ValueType {
        match self {
            Value::U8(_) => ValueType::U8,
            Value::I8(_) => ValueType::I8,
            Value::U16(_) => ValueType::U16,
            Value::I16(_) => ValueType::I16,
            Value::U32(_) => ValueType::U32,
            Value::I32(_) => ValueType::I32,
            Value::F32(_) => ValueType::F32,
            Value::Bool(_) => ValueType::Bool,
            Value::String(_) => ValueType::String,
            Value::Array(_) => ValueType::Array,
            Value::U64(_) => ValueType::U64,
            Value::I64(_) => ValueType::I64,
            Value::F64(_) => ValueType::F64,
        }
    }

    /// The value where the type is any integer.
    pub fn as_integer(&self) -> Option<i128> {
        Some(match *self {
            Value::U8(v) => v.into(),
            Value::I8(v) => v.into(),
            Value::U16(v) => v.into(),
            Value::I16(v) => v.into(),
            Value::U32(v) => v.into(),
            Value::I32(v) => v.into(),
            Value::U64(v) => v.into(),
            Value::I64(v) => v.into(),
            _ => return None,
        })
    }
}

impl<'a> Array<'a> {
    /// The elements, whatever their type.
    pub fn values(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let of = self.element_type;
        self.items().map(move |item| Value::decode(of, item))
    }
}

/// Checks one value of type `of` and moves past it. Nested arrays are walked without recursion:
/// the file decides how deep they go, the stack must not.
pub(super) fn skip(
    cursor: &mut Cursor<'_>,
    of: ValueType,
    field: &dyn Display,
    odd: &mut Oddities,
) -> Result<(), Refusal> {
    if of != ValueType::Array {
        return skip_plain(cursor, of, None, field, odd);
    }
    // Elements still to come, per open array of arrays.
    let mut open = [0u64; MAX_DEPTH];
    let mut depth = 0;
    loop {
        let start = cursor.at();
        let (element_type, len) = array_head(cursor, field)?;
        if element_type != ValueType::Array {
            skip_plain(cursor, element_type, Some(len), field, odd)?;
        } else if depth == MAX_DEPTH {
            let rule = format!("arrays at most {MAX_DEPTH} deep");
            let found = format!("one {} deep", MAX_DEPTH + 1);
            return Err(Refusal::new(Code::NestedArray, field.to_string(), rule, found).at(start));
        } else {
            open[depth] = len;
            depth += 1;
        }
        while depth > 0 && open[depth - 1] == 0 {
            depth -= 1;
        }
        if depth == 0 {
            return Ok(());
        }
        open[depth - 1] -= 1;
    }
}

/// Element type and length, the length proven to be possible in what is left of the file.
fn array_head(cursor: &mut Cursor<'_>, field: &dyn Display) -> Result<(ValueType, u64), Refusal> {
    let element_type = type_id(cursor, &format_args!("{field}.element_type"))?;
    let start = cursor.at();
    let len = cursor.u64(format_args!("{field}.len"))?;
    let most = cursor.remaining() / element_type.min_bytes();
    if len > most {
        let rule = format!("at most {most} elements, what is left of the file can hold");
        let path = format!("{field}.len");
        return Err(Refusal::new(Code::ArrayTooLong, path, rule, len).at(start));
    }
    Ok((element_type, len))
}

/// Reads a value type id.
pub(super) fn type_id(cursor: &mut Cursor<'_>, field: &dyn Display) -> Result<ValueType, Refusal> {
    let start = cursor.at();
    let id = cursor.u32(field)?;
    ValueType::from_id(id).ok_or_else(|| {
        Refusal::new(
            Code::BadValueType,
            field.to_string(),
            "a value type of 0..=12",
            id,
        )
        .at(start)
    })
}

/// One value that is no array, or the `len` elements of an array.
fn skip_plain(
    cursor: &mut Cursor<'_>,
    of: ValueType,
    len: Option<u64>,
    field: &dyn Display,
    odd: &mut Oddities,
) -> Result<(), Refusal> {
    let count = len.unwrap_or(1);
    let element = |index: u64| Element(field, len.map(|_| index));
    if of == ValueType::String {
        for index in 0..count {
            let text = cursor.string(element(index))?;
            if std::str::from_utf8(text).is_err() {
                odd.note("VALUE_NOT_UTF8", || {
                    let detail = "text that is not UTF-8, kept as raw bytes";
                    (element(index).to_string(), detail.into())
                });
            }
        }
        return Ok(());
    }
    let start = cursor.at();
    // For arrays the product fits: `array_head` compared the count with what is left.
    let values = cursor.take(count as usize * of.min_bytes() as usize, field)?;
    if of == ValueType::Bool
        && let Some(at) = values.iter().position(|&value| value > 1)
    {
        let index = at as u64;
        let path = element(index).to_string();
        return Err(Refusal::new(Code::BadBool, path, "0 or 1", values[at]).at(start + index));
    }
    Ok(())
}

/// `field[3]` for an element, `field` for a value that stands alone.
struct Element<'a>(&'a dyn Display, Option<u64>);

impl Display for Element<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.1 {
            Some(index) => write!(f, "{}[{index}]", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}
