//! Usual damages, undone one at a time: what lets a model know its text better is what ails it.
//!
//! Undoing a damage that is not there is a damage, so that a sound model knows it worse every time.
//! A model that knows its text well is not asked: there is nothing to mend.

use std::collections::BTreeMap;

use engine::Model;
use engine::flavor::{Shape, i2_s};
use engine::gguf::Gguf;
use engine::numerics::Profile;
use engine::session::{EvalError, OpenOptions};
use engine::transformer::probe::{Node, Probe};
use serde::Serialize;

use super::{WordOrder, surprise_of, text_of};
use crate::file::document::Document;
use crate::file::opened::packings;
use crate::runner::anatomy::NodeName;

/// Nats a token by which a mend must make the text less surprising: twice what inverted scales
/// cost behind norms is 0.4, and nothing that is sound gains any.
const LEAST: f64 = 0.1;
/// Bytes up to which a file is written again for each exchange.
const SMALL: u64 = 16 << 20;
/// Tensors of one layer that have the same shape in many models, and were exchanged in some.
const PAIRS: [[&str; 2]; 4] = [
    ["ffn_gate", "ffn_up"],
    ["attn_q", "attn_output"],
    ["attn_k", "attn_v"],
    ["attn_norm", "ffn_norm"],
];

/// What can be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mend {
    /// Every scale becomes its inverse.
    InvertScales,
    /// Two tensors change places.
    Exchange(Vec<[String; 2]>),
}

/// What was tried on a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mends {
    /// Mends that its tensors allow.
    pub known: usize,
    /// Those that were tried.
    pub tried: usize,
    /// The best of them, if one makes a difference.
    pub better: Option<Better>,
}

/// A mend that helps.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Better {
    /// Which.
    pub mend: Mend,
    /// How much the text surprises a token then, in nats.
    pub surprise: f64,
}

/// Tries them, as far as the file is small enough.
pub fn ask(model: &Model, profile: Profile, found: &WordOrder) -> Result<Option<Mends>, EvalError> {
    let gguf = model.gguf();
    let scales = scales(gguf);
    let exchanges = exchanges(gguf, model.config().block_count);
    let inversions = usize::from(!scales.is_empty());
    let known = inversions + exchanges.len();
    if found.is_well_known() || known == 0 {
        return Ok(None);
    }
    let mut mends = Mends {
        known,
        tried: 0,
        better: None,
    };
    if inversions > 0 {
        let tokens = text_of(model);
        let mut inverted = Inverted(scales);
        let surprise = surprise_of(model, profile, &tokens, &mut inverted)?;
        mends.take(Mend::InvertScales, surprise, found);
    }
    let bytes: u64 = gguf.tensors.iter().map(|tensor| tensor.gap).sum();
    let small = bytes <= SMALL;
    let Some(mut document) = small.then(|| Document::read(gguf).ok()).flatten() else {
        return Ok(Some(mends));
    };
    for pairs in exchanges {
        // Twice the same exchange is none.
        exchange(&mut document, &pairs);
        let mended = Model::from_bytes(document.file(), &OpenOptions::default());
        exchange(&mut document, &pairs);
        let Ok(mended) = mended else {
            continue;
        };
        let surprise = surprise_of(&mended, profile, &text_of(&mended), &mut ())?;
        mends.take(Mend::Exchange(pairs), surprise, found);
    }
    Ok(Some(mends))
}

impl Mends {
    fn take(&mut self, mend: Mend, surprise: Option<f64>, found: &WordOrder) {
        self.tried += 1;
        let most = self.better.as_ref();
        let most = most.map_or(found.written - LEAST, |better| better.surprise);
        // What is less wrong than before and still worse than a guess mends nothing.
        let most = most.min(found.chance());
        if let Some(surprise) = surprise.filter(|surprise| *surprise <= most) {
            self.better = Some(Better { mend, surprise });
        }
    }
}

/// The one scale of each matrix of two-bit weights, by its name.
fn scales(gguf: &Gguf) -> BTreeMap<String, f32> {
    let scale = |(tensor, detection): (&engine::gguf::TensorInfo, Result<_, _>)| {
        let found: engine::flavor::Detection = detection.ok()?;
        let shape = Shape::of(tensor).ok().filter(|_| found.flavor.is_i2_s())?;
        let scale = i2_s::scale(&gguf.region(tensor), shape);
        let inverted = scale.is_normal() && (1.0 / scale).is_normal();
        inverted.then(|| (tensor.name.clone(), scale))
    };
    packings(gguf, None).filter_map(scale).collect()
}

/// Pairs of tensors that can change places: in one layer each, and in all of them.
fn exchanges(gguf: &Gguf, layers: usize) -> Vec<Vec<[String; 2]>> {
    let alike = |pair: &[String; 2]| {
        let [one, other] = pair.each_ref().map(|name| gguf.tensors.get(name));
        let kind = |tensor: &engine::gguf::TensorInfo| (tensor.type_id, tensor.dims.clone());
        one.is_some() && one.map(kind) == other.map(kind)
    };
    let mut found = Vec::new();
    for [one, other] in PAIRS {
        let pair = |layer| [one, other].map(|part| format!("blk.{layer}.{part}.weight"));
        let pairs: Vec<[String; 2]> = (0..layers).map(pair).filter(alike).collect();
        found.extend(pairs.iter().map(|pair| vec![pair.clone()]));
        if pairs.len() > 1 {
            found.push(pairs);
        }
    }
    found
}

fn exchange(document: &mut Document, pairs: &[[String; 2]]) {
    for [one, other] in pairs {
        let mut take = |name: &str| document.bytes(name).map(std::mem::take).unwrap_or_default();
        let bytes = [take(one), take(other)];
        for (name, bytes) in [other, one].into_iter().zip(bytes) {
            if let Ok(place) = document.bytes(name) {
                *place = bytes;
            }
        }
    }
}

/// What every product would be with the inverse of its scale.
struct Inverted(BTreeMap<String, f32>);

impl Probe for Inverted {
    fn at(&mut self, node: Node, _: &[usize], values: &mut [f32]) {
        if node.op != "MUL_MAT" {
            return;
        }
        let tensor = NodeName::of(&node.to_string()).tensor();
        if let Some(scale) = tensor.and_then(|tensor| self.0.get(&tensor)) {
            let factor = 1.0 / scale / scale;
            values.iter_mut().for_each(|value| *value *= factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_worse_than_a_guess_mends_nothing() {
        let found = WordOrder {
            tokens: 32,
            written: 148.0,
            shuffled: Some(133.0),
            vocab_size: 128_256,
        };
        let better_at = |surprise| {
            let mut mends = Mends {
                known: 1,
                tried: 0,
                better: None,
            };
            mends.take(Mend::InvertScales, Some(surprise), &found);
            mends.better.map(|better| better.surprise)
        };
        assert_eq!(better_at(146.0), None);
        assert_eq!(better_at(11.0), Some(11.0));
    }
}
