//! Which ternary packing a tensor's bytes are in, decided from evidence or not at all.
#![forbid(unsafe_code)]

use crate::gguf::{Gguf, TensorInfo};
use crate::refusal::Refusal;

/// The packings of two-bit weights. Each has a file of its own whose decoder is its definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flavor {
    /// I2_S as written on x86 and in every published file: 128 elements in 32 bytes.
    I2sP128,
    /// I2_S as written by late-2025 ARM builds: 64 elements in 16 bytes.
    I2sP64,
    /// I2_S with four rows in one byte.
    I2sP4r,
    /// 256 elements in 64 bytes, no scale.
    Qk256,
    /// 32 elements in 8 bytes followed by an f16 scale.
    Bitnet32F16,
    /// 32 elements in 8 bytes, scales in a sibling tensor.
    Split32,
    /// Five trits to the byte, 256 to the block (ggml id 34).
    Tq1_0,
    /// Two bits each, 256 to the block (ggml id 35).
    Tq2_0,
}

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
    _tensor: &TensorInfo,
    _forced: Option<Flavor>,
) -> Result<Detection, Refusal> {
    todo!("flavor")
}
