//! Floats as messages hold them: four bytes each, in one piece, no bit changed. For
//! `#[serde(with)]`.
#![forbid(unsafe_code)]

use engine::encoding::float::Float;
use serde::{Deserializer, Serializer, de::Error};

/// Their bytes.
pub fn serialize<S: Serializer>(values: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(&Float::F32.encode(values))
}

/// The other way.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
    let bytes: &[u8] = serde_bytes::deserialize(deserializer)?;
    if !bytes.len().is_multiple_of(4) {
        return Err(D::Error::custom("a float is cut"));
    }
    let mut values = vec![0.0; bytes.len() / 4];
    Float::F32.decode(bytes, &mut values);
    Ok(values)
}
