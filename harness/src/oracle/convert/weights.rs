//! The weights of a file beside those of its checkpoint, value by value.

use engine::flavor::{Flavor, Shape};
use engine::format::Format;
use engine::gguf::{Gguf, TensorInfo};
use serde::Serialize;

use super::widened::rows;
use crate::exit::Failure;
use crate::file::opened::is_packed;

/// By how much a value may be off, as a share of the largest of its tensor: the rounding of its
/// type, and of what is not listed the coarsest there is.
fn rounding(format: &str) -> f32 {
    match format {
        "f32" | "i2_s-p128" | "i2_s-p64" | "i2_s-p4r" => 0.0,
        "f16" | "tq1_0" | "tq2_0" => 1.0 / 1024.0,
        "bf16" | "q8_0" => 1.0 / 128.0,
        "q6_k" => 1.0 / 32.0,
        _ => 1.0 / 4.0,
    }
}

/// What was found.
#[derive(Debug, Default, Serialize)]
pub struct Weights {
    /// Tensors compared.
    pub tensors: usize,
    /// Their values.
    pub values: u64,
    /// Values that are not the checkpoint's.
    pub changed: u64,
    /// The first value that is not, in the order of the checkpoint.
    pub first: Option<Difference>,
    /// The first that is further off than its type explains.
    pub beyond: Option<Difference>,
}

/// A value that is not the checkpoint's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The tensor.
    pub tensor: String,
    /// How the file writes it.
    pub format: &'static str,
    /// Place of the value.
    pub row: usize,
    /// Place of the value.
    pub col: usize,
    /// What the checkpoint says.
    pub checkpoint: f32,
    /// What the file says; none if the tensor is missing or of another shape.
    pub file: Option<f32>,
}

impl Weights {
    /// Whether every value is the checkpoint's.
    pub fn is_lossless(&self) -> bool {
        self.changed == 0
    }
}

/// Every tensor of the checkpoint, and the one of that name in the file, whose packing may be
/// given.
pub(super) fn compare(
    checkpoint: &Gguf,
    file: &Gguf,
    flavor: Option<Flavor>,
) -> Result<Weights, Failure> {
    let mut found = Weights::default();
    for exact in checkpoint.tensors.iter() {
        let values = values(checkpoint, exact, None)?;
        found.tensors += 1;
        found.values += values.len() as u64;
        let stored = file.tensors.get(&exact.name);
        let stored = stored.filter(|stored| stored.dims == exact.dims);
        let theirs = stored
            .map(|stored| self::values(file, stored, flavor))
            .transpose()?;
        let written = stored.and_then(|stored| written(stored, flavor));
        compare_one(&mut found, exact, written, &values, theirs.as_deref())?;
    }
    Ok(found)
}

fn compare_one(
    found: &mut Weights,
    exact: &TensorInfo,
    format: Option<&'static Format>,
    values: &[f32],
    theirs: Option<&[f32]>,
) -> Result<(), Failure> {
    let shape = Shape::of(exact)?;
    let largest = values.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    let allowed = largest * format.map_or(0.0, |format| rounding(format.name));
    let difference = |at: usize| Difference {
        tensor: exact.name.clone(),
        format: format.map_or("nothing", |format| format.name),
        row: at / shape.cols,
        col: at % shape.cols,
        checkpoint: values[at],
        file: theirs.map(|theirs| theirs[at]),
    };
    let Some(theirs) = theirs else {
        found.changed += values.len() as u64;
        found.first.get_or_insert_with(|| difference(0));
        found.beyond.get_or_insert_with(|| difference(0));
        return Ok(());
    };
    for (at, (value, stored)) in values.iter().zip(theirs).enumerate() {
        if value != stored {
            found.changed += 1;
            found.first.get_or_insert_with(|| difference(at));
            let off = (value - stored).abs();
            if off.is_nan() || off > allowed {
                found.beyond.get_or_insert_with(|| difference(at));
            }
        }
    }
    Ok(())
}

/// How a tensor is written.
fn written(tensor: &TensorInfo, flavor: Option<Flavor>) -> Option<&'static Format> {
    match flavor {
        Some(flavor) if is_packed(tensor) => Some(Format::of_flavor(flavor)),
        _ => Format::of_type(tensor.type_id, tensor.dialect?).next(),
    }
}

fn values(gguf: &Gguf, tensor: &TensorInfo, flavor: Option<Flavor>) -> Result<Vec<f32>, Failure> {
    let mut values = Vec::new();
    rows(gguf, tensor, flavor, |some| {
        values.extend_from_slice(some);
        Ok(())
    })?;
    Ok(values)
}
