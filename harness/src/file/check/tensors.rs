//! Lints about which tensors there are, and how large.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use engine::config::Config;
use engine::gguf::Gguf;

use super::expected::{self, Expected};
use super::{Findings, Lint, Packed};
use crate::file::opened::is_packed;

pub(super) fn examine(
    gguf: &Gguf,
    config: &Config,
    packed: &[Packed<'_>],
    findings: &mut Findings,
) {
    let expected = expected::tensors(config);
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
            Some(tensor) if matrix(&tensor.dims) != matrix(dims) => {
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

/// Dimensions without the ones at the end, which readers add and drop as they like.
fn matrix(dims: &[u64]) -> &[u64] {
    let ones = dims.iter().rev().take_while(|&&dim| dim == 1).count();
    &dims[..(dims.len() - ones).max(1)]
}
