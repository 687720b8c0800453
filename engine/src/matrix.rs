//! A weight matrix as one value: shape, packing, bytes and the kernel that multiplies it.
//!
//! Nothing of it is ever passed again as an argument, so a kernel cannot be handed bytes of
//! another packing or a row of another length.
#![forbid(unsafe_code)]

mod blocks;
mod decoded;
mod parallel;
mod ternary;

use crate::bytes::ByteRange;
use crate::encoding::float::Float;
use crate::flavor::{self, Detection, Flavor, Shape};
use crate::gguf::{Gguf, TensorInfo};
use crate::kernels::{BlockOrder, Kernel};
use crate::refusal::{Code, Refusal};

pub use parallel::Workspace;
pub(crate) use parallel::{Band, over_bands};

use blocks::{Blocks, Format};
use decoded::Decoded;
use ternary::Ternary;

/// A weight matrix, either plain floats or a packing with its own product.
pub enum Matrix {
    /// Floats; how they are multiplied is the numeric profile's business.
    Dense(Dense),
    /// Anything whose product starts with quantised weights.
    Packed(Packed),
}

/// Rows of plain floats, still in the file.
#[derive(Clone)]
pub struct Dense {
    /// Rows and columns.
    pub shape: Shape,
    /// How one element is written.
    pub format: Float,
    /// Exactly the elements, row after row, little endian.
    pub bytes: ByteRange,
}

/// Rows in a packing the engine multiplies itself.
pub struct Packed {
    shape: Shape,
    encoding: &'static str,
    content: Content,
}

enum Content {
    Ternary(Ternary),
    Blocks(Blocks),
    Decoded(Decoded),
}

impl Matrix {
    /// Takes a tensor from the file without copying it. Ternary packings are detected; `forced`
    /// chooses among the possible ones.
    pub fn from_tensor(
        gguf: &Gguf,
        tensor: &TensorInfo,
        forced: Option<Flavor>,
        kernel: Kernel,
    ) -> Result<Self, Refusal> {
        Self::with_evidence(gguf, tensor, forced, kernel).map(|(matrix, _)| matrix)
    }

    /// The same, with what was found out about the packing where there was a decision to take.
    pub fn with_evidence(
        gguf: &Gguf,
        tensor: &TensorInfo,
        forced: Option<Flavor>,
        kernel: Kernel,
    ) -> Result<(Self, Option<Detection>), Refusal> {
        let dense = |format| Dense::new(gguf, tensor, format).map(Matrix::Dense);
        let blocks = |format| Packed::blocks(gguf, tensor, format, kernel).map(Matrix::Packed);
        let matrix = match tensor.type_id {
            0 => dense(Float::F32),
            1 => dense(Float::F16),
            30 => dense(Float::Bf16),
            8 => blocks(Format::Q8_0),
            14 => blocks(Format::Q6K),
            26 | 34..=36 => {
                let detection = flavor::detect(gguf, tensor, forced)?;
                let packed = Packed::detected(gguf, tensor, &detection, kernel)?;
                return Ok((Matrix::Packed(packed), Some(detection)));
            }
            id => Err(tensor.refuse(
                Code::DtypeMismatch,
                "type",
                "F32 (0), F16 (1), Q8_0 (8), Q6_K (14), BF16 (30) or a ternary packing",
                id,
            )),
        };
        matrix.map(|matrix| (matrix, None))
    }

    /// Number of rows: outputs.
    pub fn rows(&self) -> usize {
        self.shape().rows
    }

    /// Length of a row: inputs.
    pub fn cols(&self) -> usize {
        self.shape().cols
    }

    /// Rows and columns.
    pub fn shape(&self) -> Shape {
        match self {
            Matrix::Dense(dense) => dense.shape,
            Matrix::Packed(packed) => packed.shape,
        }
    }

    /// How the weights are written, e.g. `i2_s-p128` or `f16`: fit for a receipt.
    pub fn encoding(&self) -> &'static str {
        match self {
            Matrix::Dense(dense) => dense.format.name(),
            Matrix::Packed(packed) => packed.encoding,
        }
    }

    /// Writes one row as floats.
    pub fn decode_row(&self, row: usize, out: &mut [f32]) {
        let shape = self.shape();
        assert!(row < shape.rows, "row {row} of {}", shape.rows);
        assert_eq!(out.len(), shape.cols, "a row");
        match self {
            Matrix::Dense(dense) => dense.format.decode(dense.row(row), out),
            Matrix::Packed(packed) => match &packed.content {
                Content::Ternary(ternary) => ternary.decode_row(row, out),
                Content::Blocks(blocks) => blocks.decode_row(row, out),
                Content::Decoded(decoded) => decoded.decode_row(row, out),
            },
        }
    }
}

impl Dense {
    /// The bytes of one row.
    pub fn row(&self, row: usize) -> &[u8] {
        let stride = self.shape.cols * self.format.element_bytes();
        &self.bytes[row * stride..(row + 1) * stride]
    }

    fn new(gguf: &Gguf, tensor: &TensorInfo, format: Float) -> Result<Self, Refusal> {
        let shape = Shape::of(tensor)?;
        let elements = shape.elements();
        let needed = elements.and_then(|n| n.checked_mul(format.element_bytes() as u64));
        Ok(Dense {
            shape,
            format,
            bytes: exactly(gguf, tensor, needed)?,
        })
    }
}

impl Packed {
    /// The product with rows of activations, each as long as a row of the matrix. `out` holds
    /// the outputs of the first token, then those of the second, and so on. The result does not
    /// depend on the number of threads, and on `order` only where the packing has blocks.
    pub fn multiply(
        &self,
        activations: &[f32],
        order: BlockOrder,
        workspace: &mut Workspace,
        out: &mut [f32],
    ) {
        let Shape { rows, cols } = self.shape;
        let tokens = activations.len() / cols;
        assert_eq!(
            activations.len(),
            tokens * cols,
            "whole rows of activations"
        );
        assert_eq!(out.len(), tokens * rows, "an output for each row and token");
        match &self.content {
            Content::Ternary(ternary) => ternary.multiply(activations, workspace, out),
            Content::Blocks(blocks) => blocks.multiply(activations, order, workspace, out),
            Content::Decoded(decoded) => decoded.multiply(activations, workspace, out),
        }
    }

    /// Takes a tensor in the packing that was detected.
    pub fn detected(
        gguf: &Gguf,
        tensor: &TensorInfo,
        detection: &Detection,
        kernel: Kernel,
    ) -> Result<Self, Refusal> {
        let shape = Shape::of(tensor)?;
        let flavor = detection.flavor;
        let format = match flavor {
            Flavor::Tq1_0 => return Self::blocks(gguf, tensor, Format::Tq1_0, kernel),
            Flavor::Tq2_0 => return Self::blocks(gguf, tensor, Format::Tq2_0, kernel),
            other => other,
        };
        let bytes = exactly(gguf, tensor, format.bytes_needed(shape))?;
        let content = match format.i2_s_packing() {
            Some(_) => Content::Ternary(Ternary::new(bytes, shape, format, kernel)),
            None => Content::Decoded(Decoded {
                shape,
                flavor,
                bytes,
                scales: scales(gguf, detection)?,
            }),
        };
        Ok(Packed {
            shape,
            encoding: flavor.name(),
            content,
        })
    }

    fn blocks(
        gguf: &Gguf,
        tensor: &TensorInfo,
        format: Format,
        kernel: Kernel,
    ) -> Result<Self, Refusal> {
        let shape = Shape::of(tensor)?;
        let (elements, block_bytes) = format.block();
        if !shape.cols.is_multiple_of(elements) {
            let expected = format!("rows of whole blocks of {elements}");
            return Err(tensor.refuse(Code::BlockMismatch, "dims[0]", expected, shape.cols));
        }
        let needed = shape.row_blocks(elements);
        let needed = needed.and_then(|n| n.checked_mul(block_bytes as u64));
        Ok(Packed {
            shape,
            encoding: format.name(),
            content: Content::Blocks(Blocks {
                shape,
                format,
                bytes: exactly(gguf, tensor, needed)?,
                kernel,
            }),
        })
    }
}

/// The first bytes of a tensor's region, as many as it needs.
fn exactly(gguf: &Gguf, tensor: &TensorInfo, needed: Option<u64>) -> Result<ByteRange, Refusal> {
    let bytes = needed.and_then(|needed| gguf.region(tensor).part(0..needed));
    bytes.ok_or_else(|| {
        let expected = match needed {
            Some(needed) => format!("{needed} bytes"),
            None => "a size that can be counted".into(),
        };
        tensor.refuse(Code::DataPastEof, "data", expected, tensor.gap)
    })
}

/// The scales of a packing that keeps them in a sibling tensor; none for the others.
fn scales(gguf: &Gguf, detection: &Detection) -> Result<Vec<f32>, Refusal> {
    let sibling = detection.scales.as_ref();
    let Some(tensor) = sibling.and_then(|name| gguf.tensors.get(name)) else {
        return Ok(Vec::new());
    };
    let elements = tensor.elements();
    if tensor.type_id == 28 {
        let bytes = exactly(gguf, tensor, elements.checked_mul(8))?;
        let doubles = bytes.as_chunks().0.iter();
        return Ok(doubles.map(|b| f64::from_le_bytes(*b) as f32).collect());
    }
    let format = if tensor.type_id == 0 {
        Float::F32
    } else {
        Float::F16
    };
    let bytes = exactly(
        gguf,
        tensor,
        elements.checked_mul(format.element_bytes() as u64),
    )?;
    let mut scales = vec![0.0; bytes.len() / format.element_bytes()];
    format.decode(&bytes, &mut scales);
    Ok(scales)
}
