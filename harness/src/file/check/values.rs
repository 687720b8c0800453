//! Lints that look at every weight.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::Range;

use engine::flavor::{Shape, i2_s};
use engine::gguf::{Gguf, TensorInfo};
use engine::kernels::Kernel;
use engine::matrix::Matrix;
use engine::weights::LINEAR;

use super::packing::weight_name;
use super::{Findings, Lint, Packed};
use crate::io::threads;
use crate::numbers::metrics::median;

/// Zero bytes in a row that packed weights cannot have by chance.
const HOLE: usize = 1024;
/// Root mean squares of weights.
const USUAL_SIZE: std::ops::RangeInclusive<f64> = 1e-5..=1e3;
/// How far the share of zeros may lie from that of the other layers.
const ZERO_SHARE_APART: f64 = 0.15;
const ENOUGH_LAYERS: usize = 3;
/// Fewer rows are not worth a thread.
const LEAST_ROWS: usize = 256;

pub(super) fn examine(
    gguf: &Gguf,
    packed: &[Packed<'_>],
    findings: &mut Findings,
    looked: &mut dyn FnMut(),
) {
    let ternary = is_ternary_architecture(gguf);
    let mut packed = packed.iter().peekable();
    let mut zero_shares = BTreeMap::new();
    for tensor in gguf.tensors.iter() {
        let detection = packed.next_if(|(packed, _)| packed.name == tensor.name);
        if detection.is_some() {
            holes(gguf, tensor, findings);
        }
        // A tensor that cannot be read is the business of other lints.
        let survey = match detection {
            Some((_, Ok(found))) if found.flavor.is_i2_s() => Survey::of_codes(gguf, tensor),
            Some((_, Err(_))) => None,
            _ => {
                let flavor = detection.and_then(|(_, found)| Some(found.as_ref().ok()?.flavor));
                let matrix = Matrix::from_tensor(gguf, tensor, flavor, Kernel::Scalar);
                matrix.ok().map(|matrix| Survey::of(&matrix))
            }
        };
        if let Some(survey) = survey {
            let must_be_ternary = ternary && detection.is_none() && is_linear(&tensor.name);
            survey.report(tensor, must_be_ternary, findings);
            let share = survey.zeros as f64 / survey.values.max(1) as f64;
            if detection.is_some() {
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
    squares: f64,
    /// The first value, as long as all are the same.
    constant: Option<f32>,
    /// The first value that is finite and not zero.
    nonzero: Option<Place>,
    /// The first such value of another magnitude.
    other: Option<Place>,
    /// The first value that is not finite.
    broken: Option<Place>,
}

/// Row, column and what is there.
type Place = (usize, usize, f32);

impl Survey {
    /// On every processor: a file of a gigabyte is looked at in a second.
    fn of(matrix: &Matrix) -> Self {
        let threads = threads::cores();
        let rows = matrix.rows();
        let part = rows.div_ceil(threads).max(LEAST_ROWS);
        let surveys = threads::parallel_map(rows.div_ceil(part), |index| {
            let start = index * part;
            Ok::<_, Infallible>(Survey::of_rows(matrix, start..rows.min(start + part)))
        });
        let Ok(surveys) = surveys;
        surveys.into_iter().reduce(Survey::and).unwrap_or_default()
    }

    fn of_rows(matrix: &Matrix, rows: Range<usize>) -> Self {
        let mut survey = Survey::default();
        let mut row = vec![0.0; matrix.cols()];
        for index in rows {
            matrix.decode_row(index, &mut row);
            survey.add(index, &row);
        }
        survey
    }

    /// Of codes under one scale, which need not be decoded to be counted.
    fn of_codes(gguf: &Gguf, tensor: &TensorInfo) -> Option<Self> {
        const LOW: u64 = 0x5555_5555_5555_5555;
        let region = gguf.region(tensor);
        let codes = region.get(..usize::try_from(tensor.elements() / 4).ok()?)?;
        let (words, rest) = codes.as_chunks::<8>();
        // Code 1 is zero, and what no writer writes, code 3, is read as zero.
        let zeros = |word: u64| u64::from((word & LOW).count_ones());
        let mut tail = [0; 8];
        tail[..rest.len()].copy_from_slice(rest);
        let words = words.iter().chain([&tail]);
        let zeros = words.map(|word| zeros(u64::from_le_bytes(*word))).sum();
        let scale = i2_s::scale(&region, Shape::of(tensor).ok()?);
        let values = tensor.elements();
        Some(Survey {
            values,
            zeros,
            squares: (values - zeros) as f64 * f64::from(scale).powi(2),
            broken: (!scale.is_finite()).then_some((0, 0, scale)),
            ..Survey::default()
        })
    }

    /// With the rows behind these.
    fn and(self, next: Survey) -> Survey {
        let magnitude = |place: &Place| place.2.abs();
        let another = next.nonzero.filter(|found| {
            let first = self.nonzero.as_ref();
            first.is_some_and(|first| magnitude(first) != magnitude(found))
        });
        Survey {
            values: self.values + next.values,
            zeros: self.zeros + next.zeros,
            squares: self.squares + next.squares,
            constant: self.constant.filter(|_| same(self.constant, next.constant)),
            nonzero: self.nonzero.or(next.nonzero),
            other: self.other.or(another).or(next.other),
            broken: self.broken.or(next.broken),
        }
    }

    /// Counts a row in passes that vectorise, and looks for places only where there are any.
    fn add(&mut self, index: usize, row: &[f32]) {
        let first = if self.values == 0 {
            row.first().copied()
        } else {
            self.constant
        };
        let all = |first: &f32| row.iter().all(|value| value.to_bits() == first.to_bits());
        self.constant = first.filter(all);
        self.values += row.len() as u64;
        self.zeros += row.iter().filter(|&&value| value == 0.0).count() as u64;
        let squares = sum_of_squares(row);
        self.squares += squares;
        let find = |is: &dyn Fn(f32) -> bool| {
            let column = row.iter().position(|&value| is(value));
            column.map(|column| (index, column, row[column]))
        };
        if !squares.is_finite() && self.broken.is_none() {
            self.broken = find(&|value| !value.is_finite());
        }
        if self.nonzero.is_none() {
            self.nonzero = find(&|value| value != 0.0 && value.is_finite());
        }
        if let (Some((_, _, first)), None) = (self.nonzero, self.other) {
            let size = first.abs();
            self.other = find(&|value| value != 0.0 && value.abs() != size && value.is_finite());
        }
    }

    fn report(&self, tensor: &TensorInfo, must_be_ternary: bool, findings: &mut Findings) {
        let name = &tensor.name;
        if let (Some((_, _, first)), Some((row, column, value))) = (self.nonzero, self.other)
            && must_be_ternary
        {
            let size = first.abs();
            let detail = format!("{size} and, in row {row} column {column}, {value}");
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
        } else if let Some(value) = self.constant.filter(|_| is_norm && self.values > 1) {
            let detail = format!("{} times {value}", self.values);
            findings.add(Lint::NormConstant, name, detail);
        } else if !USUAL_SIZE.contains(&size) {
            let detail = format!("a root mean square of {size:.1e}");
            findings.add(Lint::MagnitudeOdd, name, detail);
        }
    }
}

fn same(one: Option<f32>, other: Option<f32>) -> bool {
    one.map(f32::to_bits) == other.map(f32::to_bits)
}

/// In lanes, so that no addition waits for the one before it.
fn sum_of_squares(row: &[f32]) -> f64 {
    let (vectors, rest) = row.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for vector in vectors {
        for (lane, &value) in lanes.iter_mut().zip(vector) {
            *lane += f64::from(value) * f64::from(value);
        }
    }
    let rest = rest
        .iter()
        .map(|&value| f64::from(value) * f64::from(value));
    lanes.iter().sum::<f64>() + rest.sum::<f64>()
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
