//! Root mean square, mean and extremes of the norm and projection weights of a file.

use engine::gguf::{Gguf, TensorInfo};
use engine::kernels::Kernel;
use engine::matrix::Matrix;
use engine::refusal::Refusal;
use engine::weights::LINEAR;
use serde::Serialize;

/// Which rules a tensor falls under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A norm's gain.
    Norm,
    /// A linear weight in plain floats.
    Projection,
}

/// What was measured in one tensor, in double precision.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statistic {
    /// The tensor.
    pub name: String,
    /// Which rules it falls under.
    pub kind: Kind,
    /// Number of elements.
    pub elements: u64,
    /// Root mean square.
    pub rms: f64,
    /// Mean.
    pub mean: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
}

/// Measures every norm and every linear weight in plain floats. Packed weights have no statistics
/// of this kind; the second number counts them.
pub fn measure(gguf: &Gguf) -> Result<(Vec<Statistic>, usize), Refusal> {
    let mut statistics = Vec::new();
    let mut packed = 0;
    for tensor in gguf.tensors.iter() {
        let Some(kind) = kind_of(tensor) else {
            continue;
        };
        if !matches!(tensor.type_id, 0 | 1 | 30) {
            packed += 1;
            continue;
        }
        let matrix = Matrix::from_tensor(gguf, tensor, None, Kernel::Scalar)?;
        statistics.push(statistic(&tensor.name, kind, &matrix));
    }
    Ok((statistics, packed))
}

fn kind_of(tensor: &TensorInfo) -> Option<Kind> {
    let name = &tensor.name;
    let ends = |part: &str| name.ends_with(&format!("{part}.weight"));
    match tensor.dims.len() {
        1 if name.contains("norm") && name.ends_with(".weight") => Some(Kind::Norm),
        2 if name.ends_with("proj.weight") || LINEAR.into_iter().any(ends) => {
            Some(Kind::Projection)
        }
        _ => None,
    }
}

fn statistic(name: &str, kind: Kind, matrix: &Matrix) -> Statistic {
    let mut row = vec![0.0; matrix.cols()];
    let (mut squares, mut sum) = (0.0_f64, 0.0_f64);
    let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
    for index in 0..matrix.rows() {
        matrix.decode_row(index, &mut row);
        for &value in &row {
            let value = f64::from(value);
            squares += value * value;
            sum += value;
            min = min.min(value);
            max = max.max(value);
        }
    }
    let elements = matrix.rows() as u64 * matrix.cols() as u64;
    Statistic {
        name: name.to_owned(),
        kind,
        elements,
        rms: (squares / elements as f64).sqrt(),
        mean: sum / elements as f64,
        min,
        max,
    }
}
