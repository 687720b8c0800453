//! Certificates for roundings that fell the other way: how far both values were from the boundary,
//! and whether the difference of the inputs explains that one of them crossed it.
//!
//! Two values on both sides of a boundary always differ by more than their distance to it, so
//! that alone certifies nothing. What counts is whether this element moved no further than the
//! rest of its row: a legal flip is an ordinary input difference that met a boundary, a bug moves
//! an element out of its row.

use std::collections::BTreeMap;

use engine::Model;
use engine::encoding::float::Float;
use engine::kernels::activation::quantise_row;
use engine::matrix::Matrix;
use half::f16;
use serde::Serialize;

use crate::case::observation::TracedNode;
use crate::runner::anatomy::{self, NodeName};

/// An element may move this many times as far as the rest of its row does on average.
/// Half-precision sums against single ones, 18636 flips, reach 14.7 behind relu² times up, whose
/// errors are the heaviest-tailed there are; elsewhere flips stay far below 1.
pub const STRETCH: f64 = 16.0;
/// Certificates kept of one node.
pub const KEPT: usize = 16;
/// A few units in the last place, relative: what a single operation may move alone in its row.
const OWN_ROUNDING: f64 = 1.0 / (1 << 20) as f64;

/// How a node's values are rounded where they are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rounding {
    /// To int8 codes, each row with its scale.
    Codes,
    /// To IEEE halves.
    Half,
}

/// One rounding that fell the other way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Certificate {
    /// Flat index in the node.
    pub index: usize,
    /// What the rounding made of both, the reference's first.
    pub rounded: [f64; 2],
    /// Both before rounding: x · scale for codes, x for halves.
    pub before: [f64; 2],
    /// How far each was from the boundary between them that lies next to the reference's.
    pub distance: [f64; 2],
    /// How far the rest of the row allows this element to have moved.
    pub allowed: f64,
    /// It moved no further.
    pub legal: bool,
}

/// Every flip of one node, counted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Flips {
    /// How the values are rounded.
    pub rounding: Rounding,
    /// Elements that are rounded to something else.
    pub flipped: usize,
    /// Those that are explained.
    pub legal: usize,
    /// The first [`KEPT`] of them, those that are not explained before the others.
    pub certificates: Vec<Certificate>,
}

impl Flips {
    /// The first that is not explained.
    pub fn first_illegal(&self) -> Option<&Certificate> {
        self.certificates.iter().find(|c| !c.legal)
    }

    /// Of two values of one node with rows of `width`.
    pub fn between(rounding: Rounding, width: usize, theirs: &[f32], ours: &[f32]) -> Self {
        let rows = theirs.chunks(width).zip(ours.chunks(width)).enumerate();
        let certificates = rows.flat_map(|(row, (theirs, ours))| {
            let sides = [theirs, ours].map(|side| Side::of(rounding, side));
            certify(rounding, row * width, &sides)
        });
        let mut certificates: Vec<_> = certificates.collect();
        let (flipped, legal) = (
            certificates.len(),
            certificates.iter().filter(|c| c.legal).count(),
        );
        certificates.sort_by_key(|c| c.legal);
        certificates.truncate(KEPT);
        Flips {
            rounding,
            flipped,
            legal,
            certificates,
        }
    }
}

/// One row of one side: before rounding and after.
struct Side {
    before: Vec<f64>,
    rounded: Vec<f64>,
}

impl Side {
    fn of(rounding: Rounding, row: &[f32]) -> Self {
        match rounding {
            Rounding::Codes => {
                let mut codes = vec![0_i8; row.len()];
                let scale = quantise_row(row, &mut codes).scale;
                Side {
                    before: row.iter().map(|x| f64::from(x * scale)).collect(),
                    rounded: codes.into_iter().map(f64::from).collect(),
                }
            }
            Rounding::Half => Side {
                before: row.iter().map(|&x| x.into()).collect(),
                rounded: row.iter().map(|&x| f16::from_f32(x).into()).collect(),
            },
        }
    }
}

fn certify(rounding: Rounding, first: usize, [theirs, ours]: &[Side; 2]) -> Vec<Certificate> {
    let moved = theirs.before.iter().zip(&ours.before);
    let moved: Vec<f64> = moved.map(|(t, o)| t - o).collect();
    let energy = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>();
    let (all_moved, all) = (energy(&moved), energy(&theirs.before));
    let elements = moved.len().max(2) as f64;
    let flipped = (0..moved.len()).filter(|&i| {
        // NaN differs from itself, and such a flip cannot be certified.
        theirs.rounded[i] != ours.rounded[i]
    });
    let certificate = |i: usize| {
        let before = [theirs.before[i], ours.before[i]];
        let rounded = [theirs.rounded[i], ours.rounded[i]];
        let boundary = boundary(rounding, rounded);
        // The element itself does not vouch for itself.
        let others_moved = (all_moved - moved[i] * moved[i]).max(0.0);
        let others = (all - before[0] * before[0]).max(0.0);
        let typical = (others / (elements - 1.0)).sqrt();
        let relative = if others > 0.0 {
            (others_moved / others).sqrt()
        } else {
            0.0
        };
        let allowed =
            (STRETCH * relative * before[0].abs().max(typical)).max(OWN_ROUNDING * before[0].abs());
        Certificate {
            index: first + i,
            rounded,
            before,
            distance: before.map(|u| (u - boundary).abs()),
            allowed,
            legal: moved[i].abs() <= allowed,
        }
    };
    flipped.map(certificate).collect()
}

/// The boundary next to the reference's rounded value on the way to ours.
fn boundary(rounding: Rounding, [theirs, ours]: [f64; 2]) -> f64 {
    let up = ours > theirs;
    match rounding {
        Rounding::Codes if up => theirs + 0.5,
        Rounding::Codes => theirs - 0.5,
        Rounding::Half => {
            let own = f16::from_f64(theirs);
            // Away from zero the bits grow, towards it they shrink; zero has a neighbour on each
            // side.
            let bits = match (own.to_bits() & 0x7fff, own.is_sign_positive() == up) {
                (0, _) if up => 0x0001,
                (0, _) => 0x8001,
                (_, true) => own.to_bits() + 1,
                (_, false) => own.to_bits() - 1,
            };
            (theirs + f64::from(f16::from_bits(bits))) / 2.0
        }
    }
}

/// The nodes that are rounded where they are used, by their index in a pass. Each ubatch rounds by
/// itself: one of a single token computes in its own way.
pub fn rounded(model: &Model, nodes: &[TracedNode]) -> BTreeMap<usize, Rounding> {
    let begins = |node: &TracedNode| NodeName::of(&node.key).name == "inp_embd";
    let starts: Vec<usize> = (0..nodes.len()).filter(|&at| begins(&nodes[at])).collect();
    let ends = starts.iter().skip(1).copied().chain([nodes.len()]);
    let ubatches = starts.iter().copied().zip(ends);
    let all = ubatches.flat_map(|(start, end)| {
        let tokens = nodes[start].shape[0];
        let found = rounded_of(model, &nodes[start..end], tokens);
        found.into_iter().map(move |(at, how)| (start + at, how))
    });
    all.collect()
}

/// Those of one ubatch.
fn rounded_of(model: &Model, nodes: &[TracedNode], tokens: usize) -> BTreeMap<usize, Rounding> {
    let alone = tokens == 1;
    // A single head's queries are multiplied as they are; see the engine's attention.
    let halves_of_queries = alone || model.config().head_count > 1;
    let mut found = BTreeMap::new();
    for at in 0..nodes.len() {
        let Some(inputs) = anatomy::inputs(nodes, at) else {
            continue;
        };
        match (NodeName::of(&nodes[at].key).name, &*inputs) {
            ("kq", &[query, key]) => {
                found.insert(key, Rounding::Half);
                if halves_of_queries {
                    found.insert(query, Rounding::Half);
                }
            }
            ("kqv", &[weights, value]) => {
                found.insert(value, Rounding::Half);
                if alone {
                    found.insert(weights, Rounding::Half);
                }
            }
            (_, &[input]) => {
                if let Some(rounding) = by_product(model, &nodes[at], alone) {
                    found.insert(input, rounding);
                }
            }
            _ => {}
        }
    }
    found
}

/// How a product with a tensor rounds its activations. Formats in blocks round them to codes with
/// a scale a block; those have no certificates.
fn by_product(model: &Model, product: &TracedNode, alone: bool) -> Option<Rounding> {
    let name = NodeName::of(&product.key).tensor()?;
    let mut decided = model.detections().iter();
    if let Some((_, detection)) = decided.find(|(tensor, _)| *tensor == name) {
        return detection.flavor.is_i2_s().then_some(Rounding::Codes);
    }
    let tensor = model.gguf().tensors.get(&name)?;
    let matrix = Matrix::from_tensor(model.gguf(), tensor, None, model.kernel()).ok()?;
    let halves = matches!(&matrix, Matrix::Dense(dense) if dense.format == Float::F16);
    (halves && alone).then_some(Rounding::Half)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row whose scale is 1: the largest magnitude is 127.
    fn row(x: f32, rest: f32) -> Vec<f32> {
        let mut row = vec![rest; 64];
        (row[0], row[1]) = (127.0, x);
        row
    }

    #[test]
    fn a_small_common_difference_may_cross_a_boundary() {
        let theirs = row(2.4999, 10.0);
        let ours = row(2.5001, 10.0002);
        let flips = Flips::between(Rounding::Codes, 64, &theirs, &ours);
        let [flip] = &flips.certificates[..] else {
            panic!("{flips:?}")
        };
        assert_eq!((flip.index, flip.legal), (1, true));
        assert!(flip.distance.iter().all(|&d| (d - 1e-4).abs() < 1e-5));
    }

    #[test]
    fn an_element_that_left_its_row_is_no_legal_flip() {
        let flips = Flips::between(Rounding::Codes, 64, &row(2.4, 10.0), &row(2.6, 10.0002));
        assert_eq!((flips.flipped, flips.legal), (1, 0));
        assert_eq!(flips.first_illegal().expect("one").rounded, [2.0, 3.0]);
    }

    #[test]
    fn halves_have_boundaries_between_neighbours_on_both_sides_of_zero() {
        let ulp = 1.0 / 1024.0;
        assert_eq!(boundary(Rounding::Half, [1.0, 1.0 + ulp]), 1.0 + ulp / 2.0);
        assert_eq!(boundary(Rounding::Half, [-1.0, -2.0]), -1.0 - ulp / 2.0);
        assert_eq!(boundary(Rounding::Half, [1.0, 0.5]), 1.0 - ulp / 4.0);
        let least = f64::from(f16::from_bits(1));
        assert_eq!(boundary(Rounding::Half, [0.0, -1.0]), -least / 2.0);
    }

    #[test]
    fn what_is_not_a_number_is_never_certified() {
        let flips = Flips::between(Rounding::Half, 2, &[1.0, 1.0], &[1.0, f32::NAN]);
        assert_eq!((flips.flipped, flips.legal), (1, 0));
    }
}
