//! Lints that look at every weight.

use std::collections::BTreeMap;

use engine::gguf::{Gguf, TensorInfo};
use engine::kernels::Kernel;
use engine::matrix::Matrix;
use engine::weights::LINEAR;

use super::packing::weight_name;
use super::{Findings, Lint};
use crate::file::opened::is_packed;
use crate::numbers::metrics::median;

/// Zero bytes in a row that packed weights cannot have by chance.
const HOLE: usize = 1024;
/// Root mean squares of weights.
const USUAL_SIZE: std::ops::RangeInclusive<f64> = 1e-5..=1e3;
/// How far the share of zeros may lie from that of the other layers.
const ZERO_SHARE_APART: f64 = 0.15;
const ENOUGH_LAYERS: usize = 3;

pub(super) fn examine(gguf: &Gguf, findings: &mut Findings, looked: &mut dyn FnMut()) {
    let ternary = is_ternary_architecture(gguf);
    let mut zero_shares = BTreeMap::new();
    for tensor in gguf.tensors.iter() {
        let packed = is_packed(tensor);
        if packed {
            holes(gguf, tensor, findings);
        }
        // A tensor that cannot be read is the business of other lints.
        if let Ok(matrix) = Matrix::from_tensor(gguf, tensor, None, Kernel::Scalar) {
            let survey = Survey::of(&matrix);
            let must_be_ternary = ternary && !packed && is_linear(&tensor.name);
            survey.report(tensor, must_be_ternary, findings);
            let share = survey.zeros as f64 / survey.values.max(1) as f64;
            if packed {
                let layers = zero_shares.entry(weight_name(&tensor.name));
                layers.or_insert_with(Vec::new).push((tensor, share));
            }
        }
        looked();
    }
    for layers in zero_shares.values() {
        outliers(layers, findings);
    }
}

fn is_ternary_architecture(gguf: &Gguf) -> bool {
    let architecture = gguf.metadata.string("general.architecture");
    matches!(architecture, Ok(Some(name)) if name.starts_with("bitnet"))
}

fn is_linear(name: &str) -> bool {
    let weight = weight_name(name).strip_suffix(".weight");
    name.starts_with("blk.") && weight.is_some_and(|part| LINEAR.contains(&part))
}

/// What one walk over a tensor tells.
#[derive(Default)]
struct Survey {
    values: u64,
    zeros: u64,
    /// Whether every value is the first one.
    constant: bool,
    squares: f64,
    /// The first magnitude that is not zero.
    magnitude: f32,
    /// The first value of another magnitude.
    third: Option<Place>,
    /// The first value that is not finite.
    broken: Option<Place>,
}

/// Row, column and what is there.
type Place = (usize, usize, f32);

impl Survey {
    fn of(matrix: &Matrix) -> Self {
        let mut survey = Survey {
            constant: true,
            ..Survey::default()
        };
        let mut row = vec![0.0; matrix.cols()];
        let mut first = None;
        for index in 0..matrix.rows() {
            matrix.decode_row(index, &mut row);
            let first: f32 = *first.get_or_insert(row[0]);
            survey.constant &= row.iter().all(|value| value.to_bits() == first.to_bits());
            survey.add(index, &row);
        }
        survey
    }

    /// Counts a row in a pass that vectorises, and looks for places only where there are any.
    fn add(&mut self, index: usize, row: &[f32]) {
        self.values += row.len() as u64;
        self.zeros += row.iter().filter(|&&value| value == 0.0).count() as u64;
        let squares: f64 = row
            .iter()
            .map(|&value| f64::from(value) * f64::from(value))
            .sum();
        self.squares += squares;
        if self.magnitude == 0.0 {
            let first = row.iter().find(|&&value| value != 0.0 && value.is_finite());
            self.magnitude = first.map_or(0.0, |value| value.abs());
        }
        let find = |is: &dyn Fn(f32) -> bool| {
            let column = row.iter().position(|&value| is(value));
            column.map(|column| (index, column, row[column]))
        };
        if !squares.is_finite() && self.broken.is_none() {
            self.broken = find(&|value| !value.is_finite());
        }
        if self.third.is_none() {
            let magnitude = self.magnitude;
            self.third =
                find(&|value| value != 0.0 && value.abs() != magnitude && value.is_finite());
        }
    }

    fn report(&self, tensor: &TensorInfo, must_be_ternary: bool, findings: &mut Findings) {
        let name = &tensor.name;
        if let Some((row, column, value)) = self.third.filter(|_| must_be_ternary) {
            let magnitude = self.magnitude;
            let detail = format!("{magnitude} and, in row {row} column {column}, {value}");
            findings.add(Lint::WeightsNotTernary, name, detail);
        }
        if let Some((row, column, value)) = self.broken {
            let detail = format!("{value} in row {row} column {column}");
            findings.add(Lint::DataNonfinite, name, detail);
            return; // sizes mean nothing beside it
        }
        let size = (self.squares / self.values.max(1) as f64).sqrt();
        let is_norm = name.ends_with("norm.weight");
        if self.zeros == self.values {
            let detail = format!("{} zeros", self.values);
            findings.add(Lint::TensorZero, name, detail);
        } else if is_norm && self.constant && self.values > 1 {
            let detail = format!("{} times {}", self.values, self.magnitude);
            findings.add(Lint::NormConstant, name, detail);
        } else if !USUAL_SIZE.contains(&size) {
            let detail = format!("a root mean square of {size:.1e}");
            findings.add(Lint::MagnitudeOdd, name, detail);
        }
    }
}

/// A code of zero is a weight like any other, so many zero bytes in a row mean lost data.
fn holes(gguf: &Gguf, tensor: &TensorInfo, findings: &mut Findings) {
    let region = gguf.region(tensor);
    let mut start = None;
    // Every hole of twice its length holds a whole piece: pieces are compared, not bytes.
    for (piece, bytes) in region.chunks_exact(HOLE / 2).enumerate() {
        if bytes.iter().any(|&byte| byte != 0) {
            start = None;
            continue;
        }
        let at = *start.get_or_insert(piece * (HOLE / 2));
        if (piece + 1) * (HOLE / 2) - at >= HOLE {
            let detail = format!("{HOLE} zero bytes or more from byte {at} of the tensor on");
            return findings.add(Lint::ZeroRun, &tensor.name, detail);
        }
    }
}

fn outliers(layers: &[(&TensorInfo, f64)], findings: &mut Findings) {
    let shares: Vec<f64> = layers.iter().map(|&(_, share)| share).collect();
    let Some(usual) = median(&shares).filter(|_| layers.len() >= ENOUGH_LAYERS) else {
        return;
    };
    for &(tensor, share) in layers {
        if (share - usual).abs() > ZERO_SHARE_APART {
            let [share, usual] = [share, usual].map(|share| format!("{:.1} %", 100.0 * share));
            let detail = format!("{share} zeros, the median of the layers is {usual}");
            findings.add(Lint::ZeroShareOutlier, &tensor.name, detail);
        }
    }
}
