//! Model weights into a GGUF file in another format, tensor by tensor, never more than a few rows
//! in memory.
//!
//! A [`Plan`] says beforehand what every tensor becomes, why, and how many bytes that takes; what
//! is written is exactly what was planned. While it is written, every tensor is decoded again and
//! its [`Loss`] measured.
//!
//! ```
//! use engine::export::{ExportConfig, WeightTensor, export_to_gguf};
//!
//! let weights = [WeightTensor::new("blk.0.attn_q.weight", vec![1.0; 512], vec![8, 64])];
//! let config = ExportConfig::new("q8_0", "my model")?;
//! let file = export_to_gguf(&weights, &config, &[])?;
//! assert_eq!(&file[..4], b"GGUF");
//! # Ok::<(), engine::export::ExportError>(())
//! ```
#![forbid(unsafe_code)]

mod config;
mod error;
mod importance;
mod loss;
mod plan;
mod source;
mod written;

pub use config::{DEFAULT_EXCEPTIONS, ExportConfig};
pub use error::ExportError;
pub use importance::Importance;
pub use loss::Loss;
pub use plan::{Entry, ExportStats, Kept, Plan};
pub use source::{Decoded, FileSource, Source, TensorSpec, WeightTensor};
pub use written::{Written, file_bytes, write};

use crate::gguf::writer::Field;

/// The whole file, for weights that are in memory anyway.
pub fn export_to_gguf(
    tensors: &[WeightTensor],
    config: &ExportConfig,
    metadata: &[(&str, Field)],
) -> Result<Vec<u8>, ExportError> {
    let source = source::Weights::new(tensors)?;
    let plan = Plan::new(source.tensors(), config)?;
    let metadata: Vec<_> = metadata
        .iter()
        .map(|(k, v)| (k.to_string(), v.clone()))
        .collect();
    let mut file = Vec::new();
    write(&source, &plan, config, &metadata, &mut file, &mut |_| ())?;
    Ok(file)
}

/// Bytes of all tensors together, without the head of the file and what aligns them; 0 where
/// nothing can be exported.
pub fn estimate_export_size(tensors: &[WeightTensor], config: &ExportConfig) -> u64 {
    let plan = source::Weights::new(tensors).and_then(|s| Plan::new(s.tensors(), config));
    plan.map_or(0, |plan| plan.stats().exported_bytes)
}

/// What an export comes to.
pub fn export_stats(
    tensors: &[WeightTensor],
    config: &ExportConfig,
) -> Result<ExportStats, ExportError> {
    let source = source::Weights::new(tensors)?;
    Ok(Plan::new(source.tensors(), config)?.stats())
}
