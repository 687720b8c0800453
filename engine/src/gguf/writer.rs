//! Writes GGUF files: the same versions, value types and layouts that the parser reads.
#![forbid(unsafe_code)]

mod data;

use std::io::{self, Write};
use std::path::Path;

use super::array::ValueType;
use super::layout::DEFAULT_ALIGNMENT;
use super::value::Value;

pub use data::Data;

/// A value that owns its content, to be written.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // the thirteen types of the format
pub enum Field {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    String(Vec<u8>),
    /// All items are of the stated type; nested arrays may differ in theirs.
    Array(ValueType, Vec<Field>),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// Collects keys and tensors in order and lays them out.
#[derive(Debug, Clone)]
pub struct Writer {
    version: u32,
    alignment: u64,
    keys: u64,
    metadata: Vec<u8>,
    tensors: Vec<Tensor>,
}

#[derive(Debug, Clone)]
struct Tensor {
    name: String,
    dims: Vec<u64>,
    type_id: u32,
    len: u64,
    /// Nothing yet, where the tensor was only declared.
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty file of that version.
    pub fn new(version: u32) -> Self {
        Writer {
            version,
            alignment: DEFAULT_ALIGNMENT,
            keys: 0,
            metadata: Vec::new(),
            tensors: Vec::new(),
        }
    }

    /// Aligns tensor data to `alignment` and says so in `general.alignment`.
    pub fn alignment(mut self, alignment: u32) -> Self {
        self.alignment = alignment.into();
        self.key("general.alignment", alignment)
    }

    /// Appends a key.
    pub fn key(mut self, key: &str, value: impl Into<Field>) -> Self {
        let value = value.into();
        put_string(&mut self.metadata, key.as_bytes());
        put_u32(&mut self.metadata, value.value_type().id());
        value.put(&mut self.metadata);
        self.keys += 1;
        self
    }

    /// Appends a tensor: `dims` in ggml order, the contiguous one first, `bytes` as they shall
    /// lie in the file.
    pub fn tensor(self, name: &str, dims: &[u64], type_id: u32, bytes: Vec<u8>) -> Self {
        let mut declared = self.declare(name, dims, type_id, bytes.len() as u64);
        let tensor = declared.tensors.last_mut().expect("just declared");
        tensor.bytes = bytes;
        declared
    }

    /// Appends a tensor whose `len` bytes are written later, through [`Writer::begin`].
    pub fn declare(mut self, name: &str, dims: &[u64], type_id: u32, len: u64) -> Self {
        self.tensors.push(Tensor {
            name: name.to_owned(),
            dims: dims.to_vec(),
            type_id,
            len,
            bytes: Vec::new(),
        });
        self
    }

    /// Writes everything in front of the data and takes the tensors' bytes after that.
    pub fn begin<W: Write>(&self, mut out: W) -> io::Result<Data<W>> {
        let head = self.head();
        out.write_all(&head)?;
        let lens = self.tensors.iter().map(|tensor| tensor.len).collect();
        Ok(Data::behind(head.len() as u64, out, self.alignment, lens))
    }

    /// Bytes of the whole file.
    pub fn size(&self) -> u64 {
        let aligned = |tensor: &Tensor| tensor.len.next_multiple_of(self.alignment);
        let head = (self.head().len() as u64).next_multiple_of(self.alignment);
        head + self.tensors.iter().map(aligned).sum::<u64>()
    }

    /// The file, whose tensors all came with their bytes.
    pub fn finish(&self) -> Vec<u8> {
        let written = self.begin(Vec::new()).and_then(|mut data| {
            for tensor in &self.tensors {
                data.put(&tensor.bytes)?;
            }
            data.finish()
        });
        written.expect("every tensor brought its bytes, and memory takes them")
    }

    fn head(&self) -> Vec<u8> {
        let mut out = Vec::from(*super::MAGIC);
        put_u32(&mut out, self.version);
        put_u64(&mut out, self.tensors.len() as u64);
        put_u64(&mut out, self.keys);
        out.extend_from_slice(&self.metadata);
        let mut offset = 0;
        for tensor in &self.tensors {
            put_string(&mut out, tensor.name.as_bytes());
            put_u32(&mut out, tensor.dims.len() as u32);
            for &dim in &tensor.dims {
                put_u64(&mut out, dim);
            }
            put_u32(&mut out, tensor.type_id);
            put_u64(&mut out, offset);
            offset += tensor.len.next_multiple_of(self.alignment);
        }
        out
    }

    /// Writes the file beside its final name first and renames it then, so that nobody who has
    /// the old one mapped sees it change.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}.tmp", std::process::id()));
        let mut file = std::fs::File::create_new(&beside)?;
        let written = file.write_all(&self.finish());
        let written = written
            .and_then(|()| file.sync_all())
            .and_then(|()| std::fs::rename(&beside, path));
        if written.is_err() {
            // Whatever went wrong first is the error to report.
            let _ = std::fs::remove_file(&beside);
        }
        written
    }
}

impl Field {
    fn value_type(&self) -> ValueType {
        match self {
            Field::U8(_) => ValueType::U8,
            Field::I8(_) => ValueType::I8,
            Field::U16(_) => ValueType::U16,
            Field::I16(_) => ValueType::I16,
            Field::U32(_) => ValueType::U32,
            Field::I32(_) => ValueType::I32,
            Field::F32(_) => ValueType::F32,
            Field::Bool(_) => ValueType::Bool,
            Field::String(_) => ValueType::String,
            Field::Array(..) => ValueType::Array,
            Field::U64(_) => ValueType::U64,
            Field::I64(_) => ValueType::I64,
            Field::F64(_) => ValueType::F64,
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Field::U8(v) => out.push(*v),
            Field::I8(v) => out.push(*v as u8),
            Field::U16(v) => out.extend_from_slice(&v.to_le_bytes()),
            Field::I16(v) => out.extend_from_slice(&v.to_le_bytes()),
            Field::U32(v) => put_u32(out, *v),
            Field::I32(v) => put_u32(out, *v as u32),
            Field::F32(v) => put_u32(out, v.to_bits()),
            Field::Bool(v) => out.push(u8::from(*v)),
            Field::String(text) => put_string(out, text),
            Field::Array(element_type, items) => {
                put_u32(out, element_type.id());
                put_u64(out, items.len() as u64);
                for item in items {
                    debug_assert_eq!(item.value_type(), *element_type, "mixed array");
                    item.put(out);
                }
            }
            Field::U64(v) => put_u64(out, *v),
            Field::I64(v) => put_u64(out, *v as u64),
            Field::F64(v) => put_u64(out, v.to_bits()),
        }
    }
}

fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    put_u64(out, text.len() as u64);
    out.extend_from_slice(text);
}

macro_rules! from_plain {
    ($($plain:ty => $variant:ident),*) => {$(
        impl From<$plain> for Field {
            fn from(value: $plain) -> Self {
                Field::$variant(value)
            }
        }
        impl From<Vec<$plain>> for Field {
            fn from(values: Vec<$plain>) -> Self {
                Field::Array(ValueType::$variant, values.into_iter().map(Field::from).collect())
            }
        }
    )*};
}

from_plain!(
    u8 => U8, i8 => I8, u16 => U16, i16 => I16, u32 => U32, i32 => I32, f32 => F32, bool => Bool,
    u64 => U64, i64 => I64, f64 => F64
);

impl From<&str> for Field {
    fn from(text: &str) -> Self {
        Field::String(text.as_bytes().to_vec())
    }
}

impl From<Vec<&str>> for Field {
    fn from(texts: Vec<&str>) -> Self {
        Field::Array(
            ValueType::String,
            texts.into_iter().map(Field::from).collect(),
        )
    }
}

impl From<Vec<String>> for Field {
    fn from(texts: Vec<String>) -> Self {
        let items = texts
            .into_iter()
            .map(|text| Field::String(text.into_bytes()));
        Field::Array(ValueType::String, items.collect())
    }
}

impl From<Value<'_>> for Field {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::U8(v) => Field::U8(v),
            Value::I8(v) => Field::I8(v),
            Value::U16(v) => Field::U16(v),
            Value::I16(v) => Field::I16(v),
            Value::U32(v) => Field::U32(v),
            Value::I32(v) => Field::I32(v),
            Value::F32(v) => Field::F32(v),
            Value::Bool(v) => Field::Bool(v),
            Value::String(text) => Field::String(text.to_vec()),
            Value::Array(array) => Field::Array(
                array.element_type,
                array.values().map(Field::from).collect(),
            ),
            Value::U64(v) => Field::U64(v),
            Value::I64(v) => Field::I64(v),
            Value::F64(v) => Field::F64(v),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::ModelBytes;
    use crate::gguf::Gguf;

    fn every_value() -> Vec<(&'static str, Field)> {
        vec![
            ("u8", 200u8.into()),
            ("i8", (-100i8).into()),
            ("u16", 60_000u16.into()),
            ("i16", (-30_000i16).into()),
            ("u32", 4_000_000_000u32.into()),
            ("i32", (-2_000_000_000i32).into()),
            ("f32", 0.1f32.into()),
            ("bool", true.into()),
            ("string", "text".into()),
            ("raw", Field::String(vec![0xff, 0, 0xfe])),
            ("u64", u64::MAX.into()),
            ("i64", i64::MIN.into()),
            ("f64", 0.1f64.into()),
            ("empty", Vec::<u64>::new().into()),
            ("bools", vec![true, false].into()),
            ("texts", vec!["a", "", "ccc"].into()),
            ("floats", vec![1.5f32, -0.0].into()),
            (
                "nested",
                Field::Array(
                    ValueType::Array,
                    vec![
                        vec![1u8, 2].into(),
                        vec!["x", "yy"].into(),
                        Field::Array(ValueType::Array, vec![vec![3i64].into()]),
                    ],
                ),
            ),
        ]
    }

    #[test]
    fn what_is_written_is_read_back() {
        for (version, alignment) in [(2, 8), (3, 32), (3, 4096)] {
            let mut writer = Writer::new(version).alignment(alignment);
            for (key, value) in every_value() {
                writer = writer.key(key, value);
            }
            let writer =
                writer
                    .tensor("a", &[3], 24, vec![1, 2, 3])
                    .tensor("b", &[2, 2], 1, vec![9; 8]);
            let gguf = Gguf::parse(ModelBytes::from_vec(writer.finish())).expect("valid");
            assert_eq!(gguf.version, version);
            assert_eq!(gguf.alignment, u64::from(alignment));
            for (key, value) in every_value() {
                let read = gguf.metadata.get(key).expect("written");
                assert_eq!(Field::from(read), value, "{key}");
            }
            let keys: Vec<&str> = gguf.metadata.iter().map(|(key, _)| key).collect();
            let written = every_value().into_iter().map(|(key, _)| key);
            assert!(keys.into_iter().skip(1).eq(written), "file order");
            let b = gguf.tensors.get("b").expect("written");
            assert_eq!((b.dims.as_slice(), b.type_id), (&[2, 2][..], 1));
            assert_eq!(&gguf.region(b)[..8], &[9; 8]);
            assert_eq!(b.offset % u64::from(alignment), 0);
        }
    }

    #[test]
    fn a_written_file_replaces_the_old_one_in_one_step() {
        let folder = std::env::temp_dir().join(format!("gguf-writer-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("temporary folder");
        let path = folder.join("model.gguf");
        for value in [1u32, 2] {
            Writer::new(3)
                .key("k", value)
                .write(&path)
                .expect("written");
            let bytes = std::fs::read(&path).expect("there");
            let gguf = Gguf::parse(ModelBytes::from_vec(bytes)).expect("valid");
            assert_eq!(gguf.metadata.u32("k"), Ok(Some(value)));
        }
        let names = std::fs::read_dir(&folder).expect("there").count();
        assert_eq!(names, 1, "the temporary name is gone");
        std::fs::remove_dir_all(&folder).expect("temporary folder");
    }
}
