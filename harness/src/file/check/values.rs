//! Lints that look at every weight.

use engine::gguf::{Gguf, TensorInfo};
use engine::kernels::Kernel;
use engine::matrix::Matrix;
use engine::weights::LINEAR;

use super::{Findings, Lint};

pub(super) fn examine(
    gguf: &Gguf,
    finite: bool,
    findings: &mut Findings,
    looked: &mut dyn FnMut(),
) {
    let ternary = is_ternary_architecture(gguf);
    for tensor in gguf.tensors.iter() {
        let dense = matches!(tensor.type_id, 0 | 1 | 30);
        let must_be_ternary = ternary && dense && is_linear(&tensor.name);
        if must_be_ternary || finite {
            scan(gguf, tensor, must_be_ternary, finite, findings);
        }
        looked();
    }
}

fn is_ternary_architecture(gguf: &Gguf) -> bool {
    let architecture = gguf.metadata.string("general.architecture");
    matches!(architecture, Ok(Some(name)) if name.starts_with("bitnet"))
}

fn is_linear(name: &str) -> bool {
    let block = name
        .strip_prefix("blk.")
        .and_then(|rest| rest.split_once('.'));
    let weight = block.and_then(|(_, part)| part.strip_suffix(".weight"));
    weight.is_some_and(|part| LINEAR.contains(&part))
}

/// Walks the rows until everything there is to find was found.
fn scan(
    gguf: &Gguf,
    tensor: &TensorInfo,
    must_be_ternary: bool,
    finite: bool,
    findings: &mut Findings,
) {
    // A tensor that cannot be read is the business of other lints.
    let Ok(matrix) = Matrix::from_tensor(gguf, tensor, None, Kernel::Scalar) else {
        return;
    };
    let mut row = vec![0.0; matrix.cols()];
    let (mut magnitude, mut third, mut broken) = (0.0_f32, None, None);
    for index in 0..matrix.rows() {
        matrix.decode_row(index, &mut row);
        for (column, &value) in row.iter().enumerate() {
            let size = value.abs();
            if !value.is_finite() {
                broken = broken.or(Some((index, column, value)));
            } else if magnitude == 0.0 {
                magnitude = size;
            } else if size != 0.0 && size != magnitude {
                third = third.or(Some((index, column, value)));
            }
        }
        let ternary_done = third.is_some() || !must_be_ternary;
        if ternary_done && (broken.is_some() || !finite) {
            break;
        }
    }
    if let Some((row, column, value)) = third.filter(|_| must_be_ternary) {
        let detail = format!("{magnitude} and, in row {row} column {column}, {value}");
        findings.add(Lint::WeightsNotTernary, &tensor.name, detail);
    }
    if let Some((row, column, value)) = broken.filter(|_| finite) {
        let detail = format!("{value} in row {row} column {column}");
        findings.add(Lint::DataNonfinite, &tensor.name, detail);
    }
}
