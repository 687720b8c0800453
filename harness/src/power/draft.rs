//! A model file in pieces, to plant faults in what an engine reads.
#![forbid(unsafe_code)]

use engine::gguf::writer::Field;
use engine::gguf::{Gguf, Writer};

use super::SCALE_BYTES;

/// The type id of the packed two-bit weights.
const I2_S: u32 = 36;

/// Keys and tensors in order.
pub struct Draft {
    version: u32,
    keys: Vec<(String, Field)>,
    tensors: Vec<Tensor>,
}

struct Tensor {
    name: String,
    dims: Vec<u64>,
    type_id: u32,
    bytes: Vec<u8>,
}

impl Draft {
    /// Everything a file holds.
    pub fn read(gguf: &Gguf) -> Self {
        let keys = gguf.metadata.iter();
        let keys = keys.map(|(key, value)| (key.to_owned(), Field::from(value)));
        let tensors = gguf.tensors.iter().map(|tensor| Tensor {
            name: tensor.name.clone(),
            dims: tensor.dims.clone(),
            type_id: tensor.type_id,
            bytes: gguf.region(tensor).to_vec(),
        });
        Draft {
            version: gguf.version,
            keys: keys.collect(),
            tensors: tensors.collect(),
        }
    }

    /// The file.
    pub fn file(&self) -> Vec<u8> {
        let writer = self
            .keys
            .iter()
            .fold(Writer::new(self.version), |w, (key, value)| {
                w.key(key, value.clone())
            });
        let writer = self.tensors.iter().fold(writer, |w, t| {
            w.tensor(&t.name, &t.dims, t.type_id, t.bytes.clone())
        });
        writer.finish()
    }

    /// Gives the key that ends like this another value.
    pub fn set(&mut self, end: &str, value: impl Into<Field>) {
        *self.key(end) = value.into();
    }

    /// The value of the key that ends like this.
    pub fn key(&mut self, end: &str) -> &mut Field {
        let found = self.keys.iter_mut().find(|(key, _)| key.ends_with(end));
        &mut found.expect("the fixtures have every key a fault edits").1
    }

    /// The bytes of a tensor.
    pub fn bytes(&mut self, name: &str) -> &mut Vec<u8> {
        let found = self.tensors.iter_mut().find(|tensor| tensor.name == name);
        &mut found
            .expect("the fixtures have every tensor a fault edits")
            .bytes
    }

    /// Every number of a tensor of single floats.
    pub fn floats(&mut self, name: &str, edit: impl Fn(f32) -> f32) {
        for bytes in self.bytes(name).as_chunks_mut::<4>().0 {
            *bytes = edit(f32::from_le_bytes(*bytes)).to_le_bytes();
        }
    }

    /// The bytes of every packed tensor: codes, then the scale and what pads it.
    pub fn packed(&mut self) -> impl Iterator<Item = &mut Vec<u8>> {
        let packed = self.tensors.iter_mut().filter(|t| t.type_id == I2_S);
        packed.map(|t| &mut t.bytes)
    }

    /// Another scale for one packed tensor.
    pub fn rescale(&mut self, name: &str, edit: impl Fn(f32) -> f32) {
        rescale(self.bytes(name), edit);
    }

    /// Exchanges what two tensors hold.
    pub fn swap(&mut self, one: &str, other: &str) {
        let taken = std::mem::take(self.bytes(one));
        let given = std::mem::replace(self.bytes(other), taken);
        *self.bytes(one) = given;
    }
}

/// Another scale behind the codes.
pub fn rescale(bytes: &mut [u8], edit: impl Fn(f32) -> f32) {
    let at = bytes.len() - SCALE_BYTES;
    let field = bytes[at..]
        .first_chunk_mut()
        .expect("a scale lies behind the codes");
    *field = edit(f32::from_le_bytes(*field)).to_le_bytes();
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::bytes::ModelBytes;

    #[test]
    fn an_unedited_draft_is_the_file_it_was_read_from() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/moby-tiny");
        for name in ["moby-tiny-bitnet.gguf", "moby-tiny-b158.gguf"] {
            let bytes = std::fs::read(folder.join(name)).expect("committed");
            let gguf = Gguf::parse(ModelBytes::from_vec(bytes.clone())).expect("sound");
            assert!(Draft::read(&gguf).file() == bytes, "{name}");
        }
    }
}
