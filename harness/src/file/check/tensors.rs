//! Lints about which tensors there are, and how large.

use std::collections::BTreeSet;

use engine::config::Config;
use engine::gguf::Gguf;
use engine::weights::{Expected, expected};

use super::{Findings, Lint, Packed};
use crate::file::opened::is_packed;

pub(super) fn examine(
    gguf: &Gguf,
    config: &Config,
    packed: &[Packed<'_>],
    findings: &mut Findings,
) {
    let expected = expected(config);
    for Expected {
        name,
        dims,
        required,
    } in &expected
    {
        match gguf.tensors.get(name) {
            None if *required => {
                let detail = format!("{} has one of {dims:?}", config.architecture.name());
                findings.add(Lint::TensorMissing, name, detail);
            }
            Some(tensor) if !same(&tensor.dims, dims) => {
                let detail = format!("{:?} where the keys say {dims:?}", tensor.dims);
                findings.add(Lint::TensorShape, name, detail);
            }
            _ => {}
        }
    }
    let known: BTreeSet<&str> = expected.iter().map(|e| e.name.as_str()).collect();
    // A packing without scales of its own brings a tensor that holds them.
    let scales: BTreeSet<&str> = packed
        .iter()
        .filter_map(|(_, detection)| detection.as_ref().ok()?.scales.as_deref())
        .collect();
    for tensor in gguf.tensors.iter() {
        let name = tensor.name.as_str();
        if !known.contains(name) && !scales.contains(name) {
            let detail = format!("{} has none of that name", config.architecture.name());
            findings.add(Lint::TensorExtra, name, detail);
        }
    }
    if let Some(embedding) = gguf
        .tensors
        .get("token_embd.weight")
        .filter(|t| is_packed(t))
    {
        let detail = format!("type id {}", embedding.type_id);
        findings.add(Lint::EmbeddingPacked, &embedding.name, detail);
    }
}

/// Whether they are the same but for ones at the end, which readers add and drop as they like.
fn same(found: &[u64], expected: &[usize]) -> bool {
    (0..found.len().max(expected.len())).all(|i| {
        let expected = expected.get(i).map_or(1, |&dim| dim as u64);
        found.get(i).copied().unwrap_or(1) == expected
    })
}
