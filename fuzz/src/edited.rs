//! Edits: bytes of a seed, and values of a JSON document, changed where the input says.

use arbitrary::Unstructured;
use serde_json::{Map, Value, json};

use crate::drawn::drawn;

drawn! {
    /// A few bytes elsewhere, or gone.
    pub enum Edit {
        /// Other bytes from a place on, in parts of the whole.
        Write(u16, Vec<u8>),
        /// One bit.
        Flip(u32),
        /// The file ends here, in parts of the whole.
        Cut(u16),
        /// Bytes that are not there.
        Append(Vec<u8>),
    }
}

/// So many, whatever the input asks for.
const MOST: usize = 16;

/// The bytes after the edits.
pub fn bytes(mut bytes: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    let part = |of: usize, at: u16| of * usize::from(at) / (1 << 16);
    for edit in edits.iter().take(MOST) {
        let length = bytes.len();
        match edit {
            Edit::Write(at, new) => {
                let at = part(length, *at);
                let end = (at + new.len()).min(length);
                bytes[at..end].copy_from_slice(&new[..end - at]);
            }
            Edit::Flip(bit) => {
                let byte = (*bit / 8) as usize % length.max(1);
                if let Some(byte) = bytes.get_mut(byte) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Edit::Cut(at) => bytes.truncate(part(length, *at)),
            Edit::Append(new) => bytes.extend_from_slice(new),
        }
    }
    bytes
}

/// Changes a few values of a document, wherever they lie.
pub fn json(document: &mut Value, input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    for _ in 0..input.int_in_range(0..=4)? {
        let mut at = &mut *document;
        // Down to some depth, through whatever is there.
        for _ in 0..input.int_in_range(0..=8)? {
            let length = match &*at {
                Value::Array(items) => items.len(),
                Value::Object(fields) => fields.len(),
                _ => 0,
            };
            if length == 0 {
                break;
            }
            let which = input.choose_index(length)?;
            at = match at {
                Value::Array(items) => &mut items[which],
                Value::Object(fields) => fields.values_mut().nth(which).expect("counted"),
                _ => unreachable!("it has parts"),
            };
        }
        change(at, input)?;
    }
    Ok(())
}

fn change(value: &mut Value, input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    match value {
        Value::Object(fields) if input.arbitrary()? => object(fields, input)?,
        Value::Array(items) if !items.is_empty() && input.arbitrary()? => {
            let which = input.choose_index(items.len())?;
            if input.arbitrary()? {
                items.remove(which);
            } else {
                items.push(items[which].clone());
            }
        }
        _ => *value = scalar(input)?,
    }
    Ok(())
}

fn object(fields: &mut Map<String, Value>, input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let names: Vec<String> = fields.keys().cloned().collect();
    if names.is_empty() || input.arbitrary()? {
        fields.insert(input.arbitrary()?, scalar(input)?);
    } else {
        fields.remove(input.choose(&names)?);
    }
    Ok(())
}

fn scalar(input: &mut Unstructured<'_>) -> arbitrary::Result<Value> {
    Ok(match input.int_in_range(0..=7)? {
        0 => Value::Null,
        1 => input.arbitrary::<bool>()?.into(),
        2 => input.arbitrary::<i8>()?.into(),
        3 => input.arbitrary::<u64>()?.into(),
        4 => input.arbitrary::<f64>()?.into(),
        5 => input.arbitrary::<String>()?.into(),
        6 => json!([]),
        _ => json!({}),
    })
}
