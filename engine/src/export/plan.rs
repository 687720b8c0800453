//! What every tensor becomes, why, and how large it is, before anything is written.
#![forbid(unsafe_code)]

use std::fmt;

use serde::Serialize;

use super::{ExportConfig, ExportError, TensorSpec};
use crate::flavor::Shape;
use crate::format::{F32, Format};

/// Why a tensor stays in single precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// A pattern asks for it.
    Exception,
    /// There is a list of those to quantise, and it is not on it.
    NotListed,
    /// It is a vector.
    Vector,
    /// Its rows are no whole blocks of so many.
    PartialBlocks(usize),
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kept::Exception => f.write_str("an exception"),
            Kept::NotListed => f.write_str("not among those to quantise"),
            Kept::Vector => f.write_str("a vector"),
            Kept::PartialBlocks(block) => write!(f, "rows are no whole blocks of {block}"),
        }
    }
}

/// A tensor of the file to be.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its number in the source.
    pub source: usize,
    /// Its name.
    pub name: String,
    /// Dimensions, the contiguous one first.
    pub dims: Vec<u64>,
    /// Rows and columns.
    pub shape: Shape,
    /// What it is written as.
    pub format: &'static Format,
    /// Why that is single precision though another format was asked for.
    pub kept: Option<Kept>,
    /// Zeros behind its last value that fill the last block.
    pub padding: usize,
    /// Whether its columns have an importance that its format regards.
    pub weighed: bool,
    /// Bytes it takes, without what aligns the next one.
    pub bytes: u64,
}

/// Everything that will be written.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The tensors, in the order of the source.
    pub entries: Vec<Entry>,
    /// Names of those without any values, which are left out.
    pub empty: Vec<String>,
    /// What was asked for.
    pub format: &'static Format,
}

/// Counts and sizes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ExportStats {
    /// Tensors in all, those without values among them.
    pub num_tensors: usize,
    /// Those that are quantised.
    pub quantized_tensors: usize,
    /// Those that stay in single precision.
    pub fp32_tensors: usize,
    /// Bytes of all values in single precision.
    pub original_bytes: u64,
    /// Bytes of what is written of them.
    pub exported_bytes: u64,
    /// One over the other; 1 of nothing.
    pub compression_ratio: f64,
}

impl Plan {
    /// Decides. A pattern that names nothing is refused.
    pub fn new(tensors: &[TensorSpec], config: &ExportConfig) -> Result<Self, ExportError> {
        let Some(first) = tensors.first() else {
            return Err(ExportError::Empty);
        };
        let listed = config.quantize_layers.iter().flatten();
        let mut listed = listed.into_iter();
        let unused = listed.find(|pattern| !tensors.iter().any(|tensor| tensor.is_called(pattern)));
        if let Some(pattern) = unused {
            return Err(ExportError::NothingNamed {
                pattern: pattern.clone(),
                first: first.name.clone(),
            });
        }
        let mut plan = Plan {
            entries: Vec::new(),
            empty: Vec::new(),
            format: config.format,
        };
        for (source, tensor) in tensors.iter().enumerate() {
            if tensor.dims.contains(&0) || tensor.dims.is_empty() {
                plan.empty.push(tensor.name.clone());
            } else {
                plan.entries.push(entry(source, tensor, config)?);
            }
        }
        if config.importance.is_some() && !plan.entries.iter().any(|entry| entry.weighed) {
            let reason = if config.format.weighs() {
                "not one tensor that is quantised is among those it is known of"
            } else {
                "the quantiser of this format has no regard for it"
            };
            return Err(ExportError::Importance {
                name: config.format.name.to_owned(),
                reason: reason.to_owned(),
            });
        }
        Ok(plan)
    }

    /// Counts and sizes.
    pub fn stats(&self) -> ExportStats {
        let is_f32 = |entry: &&Entry| std::ptr::eq(entry.format, &F32);
        let fp32_tensors = self.entries.iter().filter(is_f32).count();
        let original = self.entries.iter().map(|e| 4 * e.elements());
        let original_bytes = original.sum();
        let exported_bytes = self.entries.iter().map(|e| e.bytes).sum();
        ExportStats {
            num_tensors: self.entries.len() + self.empty.len(),
            quantized_tensors: self.entries.len() - fp32_tensors,
            fp32_tensors: fp32_tensors + self.empty.len(),
            original_bytes,
            exported_bytes,
            compression_ratio: if exported_bytes == 0 {
                1.0
            } else {
                original_bytes as f64 / exported_bytes as f64
            },
        }
    }
}

impl Entry {
    /// How many values.
    pub fn elements(&self) -> u64 {
        self.dims.iter().product()
    }

    /// Bits a value takes on average.
    pub fn bits_per_weight(&self) -> f64 {
        8.0 * self.bytes as f64 / self.elements() as f64
    }
}

fn entry(source: usize, tensor: &TensorSpec, config: &ExportConfig) -> Result<Entry, ExportError> {
    let too_many = || ExportError::Quantize {
        name: tensor.name.clone(),
        reason: format!(
            "dimensions {:?} are more values than can be counted",
            tensor.dims
        ),
    };
    let rows = tensor.dims[1..]
        .iter()
        .try_fold(1u64, |n, &dim| n.checked_mul(dim));
    let rows = rows
        .and_then(|rows| usize::try_from(rows).ok())
        .ok_or_else(too_many)?;
    let cols = usize::try_from(tensor.dims[0]).map_err(|_| too_many())?;
    let shape = Shape { rows, cols };
    let wanted = config.format;
    let kept = kept(tensor, shape, config);
    let (format, padding) = match kept {
        Some(_) => (&F32, 0),
        None if wanted.bytes_needed(shape).is_some() => (wanted, 0),
        None => {
            let count = shape.elements().ok_or_else(too_many)? as usize;
            (wanted, count.next_multiple_of(wanted.block) - count)
        }
    };
    let weighed = padding == 0 && format.weighs() && is_weighed(tensor, config)?;
    let bytes = if padding > 0 {
        let blocks = (shape.elements().ok_or_else(too_many)? as usize + padding) / format.block;
        (blocks as u64).checked_mul(format.block_bytes as u64)
    } else {
        format.bytes_needed(shape)
    };
    Ok(Entry {
        source,
        name: tensor.name.clone(),
        dims: tensor.dims.clone(),
        shape,
        format,
        kept: kept.filter(|_| !std::ptr::eq(wanted, &F32)),
        padding,
        weighed,
        bytes: bytes.ok_or_else(too_many)?,
    })
}

/// Whether its columns have an importance, which then must be of as many columns.
fn is_weighed(tensor: &TensorSpec, config: &ExportConfig) -> Result<bool, ExportError> {
    let importance = config.importance.as_ref();
    match importance.and_then(|all| all.of(&tensor.name)) {
        Some(columns) if columns.len() as u64 != tensor.dims[0] => Err(ExportError::Importance {
            name: tensor.name.clone(),
            reason: format!(
                "{} numbers for {} columns: it was made for another model",
                columns.len(),
                tensor.dims[0]
            ),
        }),
        found => Ok(found.is_some()),
    }
}

/// Why a tensor stays in single precision, if it does.
fn kept(tensor: &TensorSpec, shape: Shape, config: &ExportConfig) -> Option<Kept> {
    let named = |patterns: &[String]| patterns.iter().any(|pattern| tensor.is_called(pattern));
    if named(&config.fp32_layers) {
        return Some(Kept::Exception);
    }
    if config
        .quantize_layers
        .as_deref()
        .is_some_and(|list| !named(list))
    {
        return Some(Kept::NotListed);
    }
    if tensor.dims.len() < 2 && !config.quantize_vectors {
        return Some(Kept::Vector);
    }
    let whole = config.format.bytes_needed(shape).is_some();
    let can_pad = config.pad_partial_blocks && config.format.flavor.is_none();
    (!whole && !can_pad).then_some(Kept::PartialBlocks(config.format.block))
}
