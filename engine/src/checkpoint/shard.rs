//! One safetensors file: a header that says where which tensor lies, proven before anything is
//! read, and the tensors in pieces.
//!
//! The crate of that name says which rule was broken, but neither where nor by which two numbers.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::json;
use super::unique::Unique;
use crate::bytes::regular_file;
use crate::refusal::{Code, Refusal};

/// As the format has it.
const MAX_HEADER: u64 = 100_000_000;
const MAX_DIMS: usize = 8;

/// How elements are written: the name and how many bytes one takes.
const DTYPES: [(&str, u64); 15] = [
    ("F64", 8),
    ("F32", 4),
    ("F16", 2),
    ("BF16", 2),
    ("F8_E4M3", 1),
    ("F8_E5M2", 1),
    ("I64", 8),
    ("I32", 4),
    ("I16", 2),
    ("I8", 1),
    ("U64", 8),
    ("U32", 4),
    ("U16", 2),
    ("U8", 1),
    ("BOOL", 1),
];

/// A file of tensors.
pub struct Shard {
    /// Its name in the folder.
    pub name: String,
    /// Read by one thread at a time.
    file: Mutex<File>,
    entries: Vec<Entry>,
}

/// A tensor of the header.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// How an element is written, e.g. `BF16`.
    pub dtype: &'static str,
    /// The last dimension is the contiguous one.
    pub shape: Vec<u64>,
    /// Where it begins in the file.
    pub begin: u64,
    /// And how many bytes it has.
    pub len: u64,
}

impl Shard {
    /// Opens a file and checks its header. `None` where there is no such file.
    pub fn open(folder: &Path, name: &str) -> Result<Option<Self>, Refusal> {
        let unreadable = |e: io::Error| Refusal::new(Code::Io, name, "a readable file", e);
        let Some(mut file) = regular_file(&folder.join(name), name)? else {
            return Ok(None);
        };
        let file_len = file.metadata().map_err(unreadable)?.len();
        let header = Header::read(name, &mut file, file_len)?;
        let entries = header.entries()?;
        Ok(Some(Shard {
            name: name.to_owned(),
            file: Mutex::new(file),
            entries,
        }))
    }

    /// The tensors, in the order of their names.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Reads a part of a tensor.
    pub fn read(&self, entry: &Entry, from: u64, into: &mut [u8]) -> Result<(), Refusal> {
        assert!(from + into.len() as u64 <= entry.len, "inside the tensor");
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let read = file
            .seek(SeekFrom::Start(entry.begin + from))
            .and_then(|_| file.read_exact(into));
        read.map_err(|e| {
            let field = format!("{}.\"{}\"", self.name, entry.name);
            Refusal::new(Code::Io, field, format!("{} bytes", into.len()), e).at(entry.begin + from)
        })
    }
}

/// The text in front of the data.
struct Header<'a> {
    file: &'a str,
    text: Vec<u8>,
    data_start: u64,
    file_len: u64,
}

impl<'a> Header<'a> {
    fn read(file: &'a str, from: &mut File, file_len: u64) -> Result<Self, Refusal> {
        let refuse = |code, rule: String, found: String| {
            let field = format!("{file}.header");
            Refusal::new(code, field, rule, found).at(0)
        };
        let unreadable = |e: io::Error| Refusal::new(Code::Io, file, "a readable file", e);
        let mut len = [0; 8];
        if file_len < 8 {
            let found = format!("a file of {file_len}");
            return Err(refuse(Code::Truncated, "8 bytes of length".into(), found));
        }
        from.read_exact(&mut len).map_err(unreadable)?;
        let len = u64::from_le_bytes(len);
        let most = MAX_HEADER.min(file_len - 8);
        if len > most {
            let rule = format!("a length of at most {most}, of a file of {file_len} bytes");
            return Err(refuse(Code::HeaderInvalid, rule, len.to_string()));
        }
        let mut text = vec![0; len as usize];
        from.read_exact(&mut text).map_err(unreadable)?;
        if text.first() != Some(&b'{') {
            let found = String::from_utf8_lossy(&text[..text.len().min(8)]);
            let rule = "an object, whose first character is {".into();
            return Err(refuse(Code::HeaderInvalid, rule, format!("{found:?}")).at(8));
        }
        Ok(Header {
            file,
            text,
            data_start: 8 + len,
            file_len,
        })
    }

    /// Every tensor of the header, whose data covers the rest of the file without holes.
    fn entries(&self) -> Result<Vec<Entry>, Refusal> {
        let mut reader = serde_json::Deserializer::from_slice(&self.text);
        let fields = reader.deserialize_map(InOrder).and_then(|fields| {
            reader.end()?;
            Ok(fields)
        });
        let fields = fields.map_err(|e| {
            let name = format!("{}.header", self.file);
            let refusal = json::invalid(&name, &self.text, &e);
            let at = refusal.offset.unwrap_or(0) + 8;
            refusal.at(at)
        })?;
        let tensors = fields.iter().filter(|(name, _)| name != "__metadata__");
        let mut entries: Vec<Entry> = tensors
            .map(|(name, value)| self.entry(name, value))
            .collect::<Result<_, _>>()?;
        self.check_places(&mut entries)?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        match entries.windows(2).find(|pair| pair[0].name == pair[1].name) {
            Some(pair) => {
                let found = format!("two, at bytes {} and {}", pair[0].begin, pair[1].begin);
                let rule = "one tensor of that name";
                Err(self.refuse(&pair[1], Code::DuplicateTensor, "", rule, found))
            }
            None => Ok(entries),
        }
    }

    fn entry(&self, name: &str, value: &Value) -> Result<Entry, Refusal> {
        let node = json::Node {
            path: format!("{}.\"{name}\"", self.file),
            value,
        };
        let dtype = node.need("dtype", "a name of a type")?;
        let known = DTYPES
            .iter()
            .find(|(known, _)| Some(*known) == dtype.value.as_str());
        let &(dtype, width) = known.ok_or_else(|| {
            let names = DTYPES.map(|(name, _)| name).join(", ");
            dtype.refuse(
                Code::DtypeMismatch,
                format!("one of {names}"),
                dtype.shown(),
            )
        })?;
        let shape = numbers(&node.need("shape", "an array of integers")?)?;
        if shape.len() > MAX_DIMS {
            let rule = format!("at most {MAX_DIMS} dimensions");
            return Err(node.refuse(Code::DimsInvalid, rule, shape.len()));
        }
        let places = node.need("data_offsets", "two integers")?;
        let &[begin, end] = &numbers(&places)?[..] else {
            return Err(places.refuse(Code::OffsetInvalid, "two integers", places.shown()));
        };
        let needed = shape
            .iter()
            .try_fold(width, |size, &dim| size.checked_mul(dim));
        let Some(needed) = needed.filter(|&size| i64::try_from(size).is_ok()) else {
            let rule = "sizes whose product can be counted";
            return Err(node.refuse(Code::SizeOverflow, rule, format!("{shape:?}")));
        };
        if end.checked_sub(begin) != Some(needed) {
            let rule = format!("{needed} bytes, for {shape:?} of {dtype}");
            return Err(places.refuse(Code::OffsetInvalid, rule, format!("{begin}..{end}")));
        }
        let Some(begin) = begin.checked_add(self.data_start) else {
            return Err(places.refuse(Code::OffsetInvalid, "bytes of the file", places.shown()));
        };
        Ok(Entry {
            name: name.to_owned(),
            dtype,
            shape,
            begin,
            len: needed,
        })
    }

    /// Each tensor begins where the one before it ends, and the last ends with the file.
    fn check_places(&self, entries: &mut [Entry]) -> Result<(), Refusal> {
        entries.sort_by_key(|entry| (entry.begin, entry.len));
        let mut end = self.data_start;
        for entry in entries.iter() {
            if entry.begin != end {
                let code = if entry.begin < end {
                    Code::TensorOverlap
                } else {
                    Code::OffsetInvalid
                };
                let rule = format!("data at byte {end}, where the tensor before it ends");
                return Err(self.refuse(entry, code, ".data_offsets", rule, entry.begin));
            }
            end = entry.begin.saturating_add(entry.len);
            if end > self.file_len {
                let rule = format!("a file of at least {end} bytes");
                let found = format!("{}: cut off?", self.file_len);
                return Err(self.refuse(entry, Code::DataPastEof, ".data_offsets", rule, found));
            }
        }
        if end == self.file_len {
            return Ok(());
        }
        let rule = format!("a file of {end} bytes, where the last tensor ends");
        Err(Refusal::new(Code::HeaderInvalid, self.file, rule, self.file_len).at(end))
    }

    fn refuse(
        &self,
        entry: &Entry,
        code: Code,
        part: &str,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Refusal {
        let field = format!("{}.\"{}\"{part}", self.file, entry.name);
        Refusal::new(code, field, expected, found).at(entry.begin)
    }
}

fn numbers(node: &json::Node) -> Result<Vec<u64>, Refusal> {
    let number = |item: json::Node| {
        let found = item.shown();
        let number = item.value.as_u64();
        number.ok_or_else(|| item.refuse(Code::DimsInvalid, "an integer of at least 0", found))
    };
    node.items()?.map(number).collect()
}

/// The fields of an object as they follow each other: a map would forget the first of two that
/// have one name.
struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut fields = Vec::new();
        while let Some((name, Unique(value))) = map.next_entry()? {
            fields.push((name, value));
        }
        Ok(fields)
    }
}
