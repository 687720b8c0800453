//! Floats as files and channels hold them: four bytes each, the lowest first, no bit changed.
#![forbid(unsafe_code)]

use serde::{Deserializer, Serializer, de::Error};

/// Their bytes.
pub fn to_bytes(values: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 * values.len());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

/// The floats of these bytes; nothing if the last one is cut.
pub fn from_bytes(bytes: &[u8]) -> Option<Vec<f32>> {
    let (values, rest) = bytes.as_chunks();
    let values = values.iter().map(|value| f32::from_le_bytes(*value));
    rest.is_empty().then(|| values.collect())
}

/// For `#[serde(with)]`: in one piece instead of one by one.
pub fn serialize<S: Serializer>(values: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(&to_bytes(values))
}

/// The other way.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
    let bytes: &[u8] = serde_bytes::deserialize(deserializer)?;
    from_bytes(bytes).ok_or_else(|| D::Error::custom("a float is cut"))
}
