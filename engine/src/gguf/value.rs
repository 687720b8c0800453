//! Metadata values and typed getters that name the key in every refusal.
//!
//! Arrays stay where they are in the file and are decoded when walked, so a vocabulary costs no
//! memory until somebody builds a table from it.
#![forbid(unsafe_code)]

use crate::bytes::ByteRange;
use crate::refusal::Refusal;

/// One metadata value.
#[derive(Clone)]
#[allow(missing_docs)] // the thirteen types of the format
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    String(String),
    Array(Array),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// An array that still lies in the file.
#[derive(Clone)]
pub struct Array {
    /// Value type id of the elements (0..=12).
    pub element_type: u32,
    /// Number of elements.
    pub len: u64,
    #[allow(dead_code)]
    bytes: ByteRange,
}

/// The key-value section, in file order.
#[derive(Default)]
pub struct Metadata {
    #[allow(dead_code)]
    entries: Vec<(String, Value)>,
}

impl Metadata {
    /// The value of a key.
    pub fn get(&self, _key: &str) -> Option<&Value> {
        todo!("gguf")
    }
    /// All entries in file order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries
            .iter()
            .map(|(key, value)| (key.as_str(), value))
    }
    /// An optional text; wrong type is a refusal.
    pub fn string(&self, _key: &str) -> Result<Option<&str>, Refusal> {
        todo!("gguf")
    }
    /// An optional unsigned integer; any integer type that holds it losslessly is accepted.
    pub fn u32(&self, _key: &str) -> Result<Option<u32>, Refusal> {
        todo!("gguf")
    }
    /// An optional float.
    pub fn f32(&self, _key: &str) -> Result<Option<f32>, Refusal> {
        todo!("gguf")
    }
    /// An optional truth value.
    pub fn bool(&self, _key: &str) -> Result<Option<bool>, Refusal> {
        todo!("gguf")
    }
    /// An optional array.
    pub fn array(&self, _key: &str) -> Result<Option<&Array>, Refusal> {
        todo!("gguf")
    }
}

impl Array {
    /// The elements as raw strings (GGUF does not promise UTF-8); refuses other element types.
    pub fn strings(&self) -> Option<Box<dyn Iterator<Item = &[u8]> + '_>> {
        todo!("gguf")
    }
    /// The elements as `f32`; `None` for other element types.
    pub fn f32s(&self) -> Option<Box<dyn Iterator<Item = f32> + '_>> {
        todo!("gguf")
    }
    /// The elements as `i64` where the element type is any integer.
    pub fn integers(&self) -> Option<Box<dyn Iterator<Item = i64> + '_>> {
        todo!("gguf")
    }
}
