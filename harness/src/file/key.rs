//! One key of a model file's metadata, for people and for JSON.

use std::fmt;

use engine::gguf::Value;
use engine::refusal::escape;
use serde::Serialize;
use serde_json::json;

/// Elements of an array that are shown.
const SHOWN_ELEMENTS: usize = 8;
/// Bytes of a text that are shown.
const SHOWN_TEXT: usize = 400;

/// One key, a long value shortened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Key {
    /// Its name.
    pub key: String,
    /// The type of its value.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its value.
    pub value: serde_json::Value,
    /// Number of elements or bytes, where not all are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shortened_from: Option<u64>,
}

impl Key {
    /// A key and its value.
    pub fn of(key: &str, value: Value<'_>) -> Self {
        let (kind, len) = match value {
            Value::Array(array) => {
                let kind = format!("{}[{}]", array.element_type.name(), array.len);
                let long = array.len > SHOWN_ELEMENTS as u64;
                (kind, long.then_some(array.len))
            }
            Value::String(text) => {
                let long = (text.len() > SHOWN_TEXT).then_some(text.len() as u64);
                (value.value_type().name().to_owned(), long)
            }
            _ => (value.value_type().name().to_owned(), None),
        };
        Key {
            key: key.to_owned(),
            kind,
            value: shown(value),
            shortened_from: len,
        }
    }
}

/// Its value on one line, and nothing in it that a terminal obeys.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&plain(&self.value))?;
        match self.shortened_from {
            Some(len) => write!(f, " … ({len} in all)"),
            None => Ok(()),
        }
    }
}

/// JSON on one line, which reads well enough, and nothing in it that a terminal obeys.
pub fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => escape(text),
        serde_json::Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| escape(&item.to_string())).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}

/// The value as JSON. Bytes that are not UTF-8 become replacement characters: the file is at
/// fault, and a warning says so.
fn shown(value: Value<'_>) -> serde_json::Value {
    match value {
        Value::Bool(value) => json!(value),
        Value::F32(value) => float(value.to_string()),
        Value::F64(value) => float(value.to_string()),
        Value::String(text) => {
            let text = String::from_utf8_lossy(text);
            json!(&text[..text.floor_char_boundary(SHOWN_TEXT)])
        }
        Value::Array(array) => array.values().take(SHOWN_ELEMENTS).map(shown).collect(),
        integer => match integer.as_integer().map(i64::try_from) {
            Some(Ok(small)) => json!(small),
            _ => json!(integer.as_integer().map(|i| i as u64)),
        },
    }
}

/// The shortest number that reads back as the same float; JSON has no other than finite ones.
pub fn float(shortest: String) -> serde_json::Value {
    match shortest.parse::<f64>() {
        Ok(value) if value.is_finite() => json!(value),
        _ => json!(shortest),
    }
}
