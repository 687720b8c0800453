//! Lints about packed weights: ids, sizes, codes, shapes and scales.

use std::collections::BTreeMap;

use engine::flavor::{Detection, i2_s};
use engine::gguf::{Gguf, TensorInfo, TypeId};
use engine::refusal::Refusal;

use super::{Findings, Lint, Packed};
use crate::file::opened::scale;

const I2_S_IDS: [u32; 2] = [26, 36];
const TL1: u32 = 38;
const TL2: u32 = 39;

/// Rows and columns the lookup-table kernels were generated for: three published models.
const TABLE_SHAPES: [(u64, u64); 10] = [
    (1536, 4096),
    (1536, 1536),
    (4096, 1536),
    (3200, 8640),
    (3200, 3200),
    (8640, 3200),
    (14336, 4096),
    (4096, 14336),
    (1024, 4096),
    (4096, 4096),
];

pub(super) fn examine(gguf: &Gguf, packed: &[Packed<'_>], findings: &mut Findings) {
    for tensor in gguf.tensors.iter() {
        contested(tensor, findings);
        lookup_table(tensor, findings);
    }
    let mut scales = BTreeMap::new();
    for (tensor, detection) in packed {
        size_and_codes(gguf, tensor, detection, findings);
        if let Ok(Detection { flavor, .. }) = detection
            && flavor.is_i2_s()
            && let Some(scale) = scale(gguf, tensor, *flavor)
        {
            shape(tensor, findings);
            let weight = weight_name(&tensor.name);
            scales
                .entry(weight)
                .or_insert_with(Vec::new)
                .push((*tensor, scale));
        }
    }
    for layers in scales.values() {
        outliers(layers, findings);
    }
    lost(scales.values().flatten(), findings);
}

fn contested(tensor: &TensorInfo, findings: &mut Findings) {
    let id = tensor.type_id;
    let detail = match (tensor.meaning(), id) {
        (TypeId::Contested(readings), _) => {
            format!("type id {id} is {readings}, depending on who reads")
        }
        (TypeId::Known(known), 40..=42) => format!(
            "type id {id} is {} upstream; \
             bitnet.cpp's later forks use these ids for TL2 and others",
            known.name
        ),
        _ => return,
    };
    findings.add(Lint::TypeIdContested, &tensor.name, detail);
}

fn lookup_table(tensor: &TensorInfo, findings: &mut Findings) {
    let shape = (tensor.rows(), tensor.cols());
    if matches!(tensor.type_id, TL1 | TL2) && !TABLE_SHAPES.contains(&shape) {
        let detail = format!("{} × {}", shape.0, shape.1);
        findings.add(Lint::LookupTableShape, &tensor.name, detail);
    }
}

/// What is left after I2_S's codes and trailer, if the tensor is to be I2_S.
enum Room {
    /// Nothing that alignment does not explain.
    Exact,
    /// As much as a quantiser on several threads claims, one trailer for each of so many pieces.
    Pieces(u64),
    /// Something else.
    Other,
}

fn room(gguf: &Gguf, tensor: &TensorInfo) -> Room {
    const TRAILER: u64 = i2_s::TRAILER_BYTES;
    const LEAST_PIECE: u64 = 16_384;
    let (n, cols) = (tensor.elements(), tensor.cols().max(1));
    let padded = |trailers: u64| {
        let bytes = (n / 4).saturating_add(TRAILER.saturating_mul(trailers));
        bytes.checked_next_multiple_of(gguf.alignment)
    };
    let pieces = n.div_ceil(cols.saturating_mul(LEAST_PIECE.div_ceil(cols)));
    match Some(tensor.gap) {
        gap if gap == padded(1) => Room::Exact,
        gap if gap == padded(pieces) && pieces > 1 => Room::Pieces(pieces),
        _ => Room::Other,
    }
}

fn size_and_codes(
    gguf: &Gguf,
    tensor: &TensorInfo,
    detection: &Result<Detection, Refusal>,
    findings: &mut Findings,
) {
    let name = &tensor.name;
    let roomy = match detection {
        Ok(found) => {
            let taken = found.candidates.iter().find(|c| c.flavor == found.flavor);
            taken.is_some_and(|candidate| candidate.roomy)
        }
        Err(_) => true,
    };
    if !roomy {
        return;
    }
    // Nothing explains the size, except I2_S whose content is damaged.
    let i2_s = I2_S_IDS.contains(&tensor.type_id);
    match (room(gguf, tensor), detection) {
        (Room::Pieces(pieces), _) if i2_s => {
            let detail = format!("{} bytes are room for {pieces} scales", tensor.gap);
            findings.add(Lint::QuantisedInThreads, name, detail);
        }
        (Room::Exact, _) if i2_s && threes(gguf, tensor) > 0 => {
            let detail = format!("{} of {} codes", threes(gguf, tensor), tensor.elements());
            findings.add(Lint::CodeThree, name, detail);
        }
        (_, Err(refusal)) => findings.add(Lint::PackingUnknown, name, refusal.to_string()),
        (_, Ok(found)) => {
            let detail = format!("{} bytes for {}", tensor.gap, found.flavor);
            findings.add(Lint::GapOversized, name, detail);
        }
    }
}

fn threes(gguf: &Gguf, tensor: &TensorInfo) -> u32 {
    let codes = tensor.elements() / 4;
    let region = gguf.region(tensor);
    let codes = &region[..usize::try_from(codes).map_or(0, |n| n.min(region.len()))];
    codes
        .iter()
        .map(|b| (b & b >> 1 & 0b0101_0101).count_ones())
        .sum()
}

fn shape(tensor: &TensorInfo, findings: &mut Findings) {
    if !tensor.cols().is_multiple_of(128) || tensor.dims.iter().skip(2).any(|&dim| dim > 1) {
        findings.add(
            Lint::ShapeUnserved,
            &tensor.name,
            format!("{:?}", tensor.dims),
        );
    }
}

/// A scale is a mean magnitude of weights, far below one; its inverse is far above. Between the
/// layers of one model it varies by a factor of two or three.
fn outliers(layers: &[(&TensorInfo, f32)], findings: &mut Findings) {
    const INVERTED_ABOVE: f32 = 10.0;
    const FACTOR: f32 = 8.0;
    const ENOUGH_LAYERS: usize = 3;
    let mut sorted: Vec<f32> = layers.iter().map(|&(_, scale)| scale).collect();
    sorted.sort_by(f32::total_cmp);
    let median = sorted[sorted.len() / 2];
    for &(tensor, scale) in layers {
        if scale > INVERTED_ABOVE {
            let detail = format!("a scale of {scale}");
            findings.add(Lint::ScaleInverted, &tensor.name, detail);
        } else if layers.len() >= ENOUGH_LAYERS
            && !(median / FACTOR..=median * FACTOR).contains(&scale)
        {
            let detail = format!("a scale of {scale}, the median of the layers is {median}");
            findings.add(Lint::ScaleOutlier, &tensor.name, detail);
        }
    }
}

/// One matrix may have a mean magnitude of exactly one; several that all do were never measured.
fn lost<'s>(
    scales: impl Iterator<Item = &'s (&'s TensorInfo, f32)> + Clone,
    findings: &mut Findings,
) {
    const ENOUGH: usize = 3;
    let all = scales.clone().all(|(_, scale)| *scale == 1.0);
    let count = scales.clone().count();
    if all && count >= ENOUGH {
        for (tensor, _) in scales {
            let detail = format!("a scale of 1, as all {count} have");
            findings.add(Lint::ScalesLost, &tensor.name, detail);
        }
    }
}

/// `attn_q.weight` for `blk.7.attn_q.weight`.
pub(super) fn weight_name(name: &str) -> &str {
    let block = name
        .strip_prefix("blk.")
        .and_then(|rest| rest.split_once('.'));
    block.map_or(name, |(_, weight)| weight)
}
