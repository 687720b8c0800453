//! The key-value section: an index of eight bytes a key into the file, and typed getters that
//! name the key and its place in every refusal.
#![forbid(unsafe_code)]

use std::fmt::Display;

use super::array::{Array, ValueType};
use super::cursor::{Cursor, le_u32, le_u64};
use super::oddity::Oddities;
use super::value::{Value, skip, type_id};
use crate::bytes::ModelBytes;
use crate::refusal::{Code, Refusal};

/// The format's own limit.
const MAX_KEY_BYTES: usize = 65_535;
/// Length, one byte of key, type, one byte of value.
pub(super) const MIN_ENTRY_BYTES: u64 = 8 + 1 + 4 + 1;

/// The key-value section, in file order, found by key.
pub struct Metadata {
    bytes: ModelBytes,
    /// Where each entry starts, in the order of their keys.
    by_key: Vec<u64>,
}

impl Metadata {
    /// Checks `count` entries and leaves the cursor behind them.
    pub(super) fn read(
        bytes: &ModelBytes,
        cursor: &mut Cursor<'_>,
        count: u64,
        odd: &mut Oddities,
    ) -> Result<Self, Refusal> {
        let mut by_key = Vec::new();
        for index in 0..count {
            by_key.push(cursor.at());
            check_entry(cursor, index, odd)?;
        }
        // Sorted, not hashed: no choice of keys makes this slow.
        by_key.sort_unstable_by_key(|&at| (raw_key(bytes, at), at));
        Ok(Metadata {
            bytes: bytes.clone(),
            by_key,
        })
    }

    /// Each key once; what a second one means depends on who reads.
    pub(super) fn check_duplicates(&self) -> Result<(), Refusal> {
        let same = |pair: &&[u64]| raw_key(&self.bytes, pair[0]) == raw_key(&self.bytes, pair[1]);
        let first = self
            .by_key
            .windows(2)
            .filter(same)
            .min_by_key(|pair| pair[1]);
        let Some(&[before, again]) = first else {
            return Ok(());
        };
        let field = path(entry(&self.bytes, again).key);
        let rule = format!("one value, the one at byte {before}");
        Err(Refusal::new(Code::DuplicateKey, field, rule, "a second").at(again))
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<Value<'_>> {
        self.find(key).map(|entry| entry.value(&self.bytes))
    }

    /// All entries in file order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        let mut in_file_order = self.by_key.clone();
        in_file_order.sort_unstable();
        in_file_order.into_iter().map(|at| {
            let entry = entry(&self.bytes, at);
            (entry.key, entry.value(&self.bytes))
        })
    }

    /// An optional text. Refuses other types, text that is not UTF-8, and a NUL, behind which a
    /// reader that stops there would see another text.
    pub fn string(&self, key: &str) -> Result<Option<&str>, Refusal> {
        let raw = match self.get(key) {
            None => return Ok(None),
            Some(Value::String(raw)) => raw,
            Some(other) => return Err(self.wrong_type(key, "a string", other)),
        };
        let text = std::str::from_utf8(raw).map_err(|error| {
            let found = format!("an invalid byte at {}", error.valid_up_to());
            self.refuse(Code::StringNotUtf8, key, "UTF-8 text", found)
        })?;
        match text.find('\0') {
            Some(at) => Err(self.refuse(Code::StringNul, key, "no NUL", format!("one at {at}"))),
            None => Ok(Some(text)),
        }
    }

    /// An optional unsigned integer; any integer type that holds it losslessly is accepted.
    pub fn u32(&self, key: &str) -> Result<Option<u32>, Refusal> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let Some(integer) = value.as_integer() else {
            return Err(self.wrong_type(key, "an integer", value));
        };
        let narrow = u32::try_from(integer).map_err(|_| {
            self.refuse(
                Code::HparamInvalid,
                key,
                format!("0..={}", u32::MAX),
                integer,
            )
        })?;
        Ok(Some(narrow))
    }

    /// An optional float; a `float64` is accepted where it loses nothing.
    pub fn f32(&self, key: &str) -> Result<Option<f32>, Refusal> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::F32(value)) => Ok(Some(value)),
            Some(Value::F64(wide)) if f64::from(wide as f32) == wide || wide.is_nan() => {
                Ok(Some(wide as f32))
            }
            Some(other) => Err(self.wrong_type(key, "a float32", other)),
        }
    }

    /// An optional truth value.
    pub fn bool(&self, key: &str) -> Result<Option<bool>, Refusal> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(other) => Err(self.wrong_type(key, "a bool", other)),
        }
    }

    /// An optional array.
    pub fn array(&self, key: &str) -> Result<Option<Array<'_>>, Refusal> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Array(array)) => Ok(Some(array)),
            Some(other) => Err(self.wrong_type(key, "an array", other)),
        }
    }

    /// A refusal about a key that names its field and, where it exists, the byte its value is at.
    pub fn refuse(
        &self,
        code: Code,
        key: &str,
        expected: impl Display,
        found: impl Display,
    ) -> Refusal {
        let refusal = Refusal::new(code, path(key), expected, found);
        match self.find(key) {
            Some(entry) => refusal.at(entry.value_at),
            None => refusal,
        }
    }

    /// A refusal about a key that should be there.
    pub fn missing(&self, key: &str, expected: impl Display) -> Refusal {
        self.refuse(Code::MissingKey, key, expected, "no such key")
    }

    /// A refusal about a key whose value has another type than `expected`.
    pub fn wrong_type(&self, key: &str, expected: impl Display, found: Value<'_>) -> Refusal {
        let found = match found {
            Value::Array(array) => {
                format!("an array of {} {}", array.len, array.element_type.name())
            }
            other => format!("a {}", other.value_type().name()),
        };
        self.refuse(Code::WrongKeyType, key, expected, found)
    }

    fn find(&self, key: &str) -> Option<Entry<'_>> {
        let found = self
            .by_key
            .binary_search_by(|&at| raw_key(&self.bytes, at).cmp(key.as_bytes()))
            .ok()?;
        Some(entry(&self.bytes, self.by_key[found]))
    }
}

/// `metadata."key"`.
fn path(key: &str) -> String {
    format!("metadata.\"{key}\"")
}

/// One checked entry, taken apart.
struct Entry<'a> {
    key: &'a str,
    of: ValueType,
    value_at: u64,
}

impl<'a> Entry<'a> {
    fn value(&self, bytes: &'a [u8]) -> Value<'a> {
        Value::decode(self.of, &bytes[self.value_at as usize..])
    }
}

/// The key of the entry at `at`, which [`check_entry`] has passed.
fn raw_key(bytes: &[u8], at: u64) -> &[u8] {
    let bytes = &bytes[at as usize..];
    &bytes[8..8 + le_u64(bytes) as usize]
}

/// Takes apart the entry at `at`, which [`check_entry`] has passed.
fn entry(bytes: &[u8], at: u64) -> Entry<'_> {
    let key = raw_key(bytes, at);
    let bytes = &bytes[at as usize..];
    let end = 8 + key.len();
    Entry {
        key: std::str::from_utf8(key).expect("checked by check_entry"),
        of: ValueType::from_id(le_u32(&bytes[end..])).expect("checked by check_entry"),
        value_at: at + end as u64 + 4,
    }
}

fn check_entry(cursor: &mut Cursor<'_>, index: u64, odd: &mut Oddities) -> Result<(), Refusal> {
    let start = cursor.at();
    let raw = cursor.string(format_args!("metadata[{index}].key"))?;
    let key = check_key(raw).map_err(|(code, expected, found)| {
        Refusal::new(code, format!("metadata[{index}].key"), expected, found).at(start)
    })?;
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-".contains(&c);
    if !key.bytes().all(plain) {
        odd.note("KEY_STYLE", || {
            (
                path(key),
                "a key that is not lower_snake_case segments".into(),
            )
        });
    }
    let of = type_id(cursor, &format_args!("metadata.\"{key}\".type"))?;
    skip(cursor, of, &format_args!("metadata.\"{key}\""), odd)
}

fn check_key(raw: &[u8]) -> Result<&str, (Code, String, String)> {
    if raw.is_empty() {
        return Err((Code::KeyEmpty, "at least 1 byte".into(), "0".into()));
    }
    if raw.len() > MAX_KEY_BYTES {
        let rule = format!("at most {MAX_KEY_BYTES} bytes");
        return Err((Code::KeyTooLong, rule, raw.len().to_string()));
    }
    if let Some(at) = raw.iter().position(|&byte| byte == 0) {
        let found = format!("one after {at} of {} bytes", raw.len());
        return Err((Code::KeyNul, "no NUL".into(), found));
    }
    std::str::from_utf8(raw).map_err(|error| {
        let found = format!("an invalid byte after {}", error.valid_up_to());
        (Code::KeyNotUtf8, "UTF-8".into(), found)
    })
}
