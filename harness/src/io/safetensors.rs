//! Safetensors files: what stands in front of the data, and the nodes of a pass as such a file.
//!
//! The header is written here and not by the crate of that name, because that one hashes the
//! metadata: the same trace would have different bytes every time.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io::{self, Write};

use engine::encoding::float::Float;
use engine::transformer::probe::{Node, Probe};
use serde::Serialize;
use serde_json::{Map, json};

/// A tensor of a file.
pub struct Entry<'a> {
    /// Its name.
    pub name: &'a str,
    /// How an element is written, e.g. `F32`.
    pub dtype: &'a str,
    /// The last dimension is the contiguous one.
    pub shape: &'a [usize],
    /// Bytes it takes.
    pub bytes: usize,
}

/// Writes what stands in front of the data of `entries`, which follow it in their order.
pub fn write_header<'a, A: Serialize>(
    out: &mut dyn Write,
    entries: impl IntoIterator<Item = Entry<'a>>,
    about: &BTreeMap<&str, A>,
) -> io::Result<()> {
    let mut header = Map::from_iter([("__metadata__".to_owned(), json!(about))]);
    let mut end = 0;
    for entry in entries {
        let begin = end;
        end += entry.bytes;
        let fields = json!({
            "dtype": entry.dtype,
            "shape": entry.shape,
            "data_offsets": [begin, end],
        });
        header.insert(entry.name.to_owned(), fields);
    }
    let mut header = serde_json::to_vec(&header)?;
    // The format asks for data at a multiple of eight; spaces are allowed at the end.
    header.resize(header.len().next_multiple_of(8), b' ');
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)
}

/// A probe that keeps every node.
#[derive(Default)]
pub struct Trace {
    nodes: Vec<Kept>,
    suffix: String,
}

struct Kept {
    key: String,
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Trace {
    /// Appends `@position` to the keys of what follows. A pass in several ubatches computes every
    /// node several times, and those of attention grow, so they cannot be put together.
    pub fn starts_at(&mut self, position: usize) {
        self.suffix = format!("@{position}");
    }

    /// Number of nodes kept.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Name, shape and values of each, in the order they were computed.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &[usize], &[f32])> {
        let nodes = self.nodes.iter();
        nodes.map(|node| (&node.key[..], &node.shape[..], &node.values[..]))
    }

    /// Writes the file: tensors in the order they were computed, the header sorted by name.
    pub fn write(&self, out: &mut dyn Write, about: &BTreeMap<&str, String>) -> io::Result<()> {
        let entries = self.nodes.iter().map(|node| Entry {
            name: &node.key,
            dtype: "F32",
            shape: &node.shape,
            bytes: node.values.len() * size_of::<f32>(),
        });
        write_header(out, entries, about)?;
        let mut nodes = self.nodes.iter();
        nodes.try_for_each(|node| out.write_all(&Float::F32.encode(&node.values)))
    }
}

impl Probe for Trace {
    fn at(&mut self, node: Node, shape: &[usize], values: &mut [f32]) {
        self.nodes.push(Kept {
            key: format!("{node}{}", self.suffix),
            shape: shape.to_vec(),
            values: values.to_vec(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::transformer::probe::Place;
    use safetensors::SafeTensors;

    #[test]
    fn the_crate_reads_what_is_written_and_the_bytes_are_always_the_same() {
        let mut trace = Trace::default();
        let node = |name| Node {
            name,
            suffix: "",
            place: Place::Layer(3),
            op: "MUL",
            occurrence: 0,
        };
        trace.at(node("zeta"), &[1, 2], &mut [1.5, f32::NAN]);
        trace.starts_at(512);
        trace.at(node("alpha"), &[1], &mut [-0.0]);
        let about = BTreeMap::from([("model_sha256", "ab".into()), ("kernel", "scalar".into())]);
        let file = || {
            let mut out = Vec::new();
            trace.write(&mut out, &about).expect("memory");
            out
        };
        let bytes = file();
        assert_eq!(bytes, file());
        let read = SafeTensors::deserialize(&bytes).expect("valid");
        let first = read.tensor("zeta-3|MUL#0").expect("there");
        assert_eq!(first.shape(), [1, 2]);
        assert_eq!(first.data()[..4], 1.5_f32.to_le_bytes());
        assert_eq!(
            read.tensor("alpha-3|MUL#0@512").expect("there").data(),
            (-0.0_f32).to_le_bytes()
        );
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("valid");
        assert_eq!(
            header.metadata().as_ref().expect("some")["kernel"],
            "scalar"
        );
    }
}
