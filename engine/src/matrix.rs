//! A weight matrix as one value: shape, packing, bytes and the kernel that multiplies it.
//!
//! Nothing of it is ever passed again as an argument, so a kernel cannot be handed bytes of
//! another packing or a row of another length.
#![forbid(unsafe_code)]

mod parallel;
mod ternary;

use crate::bytes::ByteRange;
use crate::flavor::{self, Flavor, Shape};
use crate::gguf::{Gguf, TensorInfo};
use crate::kernels::Kernel;
use crate::refusal::{Code, Refusal};

pub use parallel::Workspace;

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
    pub format: DenseFormat,
    /// Exactly the elements, row after row, little endian.
    pub bytes: ByteRange,
}

/// How one element of a dense matrix is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the formats
pub enum DenseFormat {
    F32,
    F16,
    Bf16,
}

/// Rows in a packing the engine multiplies itself.
pub struct Packed {
    shape: Shape,
    content: Content,
}

enum Content {
    Ternary(Ternary),
}

impl Matrix {
    /// Takes a tensor from the file. Ternary packings are detected; `forced` chooses among the
    /// possible ones.
    pub fn from_tensor(
        gguf: &Gguf,
        tensor: &TensorInfo,
        forced: Option<Flavor>,
        kernel: Kernel,
    ) -> Result<Self, Refusal> {
        let shape = shape_of(tensor)?;
        let dense = |format: DenseFormat| -> Result<Self, Refusal> {
            let needed = shape.elements().map(|n| n * format.element_bytes());
            let bytes = needed.and_then(|needed| gguf.region(tensor).part(0..needed));
            let bytes = bytes.ok_or_else(|| {
                let expected = format!("{needed:?} bytes");
                Refusal::new(Code::DataPastEof, field_of(tensor), expected, tensor.gap)
                    .at(tensor.offset)
            })?;
            Ok(Matrix::Dense(Dense {
                shape,
                format,
                bytes,
            }))
        };
        match tensor.type_id {
            0 => dense(DenseFormat::F32),
            1 => dense(DenseFormat::F16),
            30 => dense(DenseFormat::Bf16),
            _ => {
                let detection = flavor::detect(gguf, tensor, forced)?;
                let bytes = gguf.region(tensor);
                let content = Ternary::new(bytes, shape, detection.flavor, kernel);
                Ok(Matrix::Packed(Packed {
                    shape,
                    content: Content::Ternary(content),
                }))
            }
        }
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

    /// Writes one row as floats.
    pub fn decode_row(&self, row: usize, out: &mut [f32]) {
        assert!(row < self.rows() && out.len() == self.cols(), "row {row}");
        match self {
            Matrix::Dense(dense) => dense.decode_row(row, out),
            Matrix::Packed(packed) => match &packed.content {
                Content::Ternary(ternary) => ternary.decode_row(row, out),
            },
        }
    }
}

impl Packed {
    /// The product with `tokens` rows of activations, each as long as a row of the matrix. `out`
    /// holds the outputs of the first token, then those of the second, and so on. The result
    /// does not depend on the number of threads.
    pub fn multiply(&self, activations: &[f32], workspace: &mut Workspace, out: &mut [f32]) {
        let tokens = activations.len() / self.shape.cols;
        assert_eq!(activations.len(), tokens * self.shape.cols, "whole rows");
        assert_eq!(
            out.len(),
            tokens * self.shape.rows,
            "an output a row and token"
        );
        match &self.content {
            Content::Ternary(ternary) => ternary.multiply(activations, workspace, out),
        }
    }
}

impl Dense {
    fn decode_row(&self, row: usize, out: &mut [f32]) {
        let stride = self.shape.cols * self.format.element_bytes() as usize;
        let bytes = &self.bytes[row * stride..(row + 1) * stride];
        let half = |b: &[u8; 2]| u16::from_le_bytes(*b);
        match self.format {
            DenseFormat::F32 => {
                let elements = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b));
                out.iter_mut().zip(elements).for_each(|(out, x)| *out = x);
            }
            DenseFormat::F16 => {
                let elements = bytes.as_chunks().0.iter().map(half);
                out.iter_mut()
                    .zip(elements)
                    .for_each(|(out, x)| *out = half::f16::from_bits(x).to_f32());
            }
            DenseFormat::Bf16 => {
                let elements = bytes.as_chunks().0.iter().map(half);
                out.iter_mut()
                    .zip(elements)
                    .for_each(|(out, x)| *out = half::bf16::from_bits(x).to_f32());
            }
        }
    }
}

impl DenseFormat {
    /// Bytes of one element.
    pub fn element_bytes(self) -> u64 {
        match self {
            DenseFormat::F32 => 4,
            DenseFormat::F16 | DenseFormat::Bf16 => 2,
        }
    }
}

fn field_of(tensor: &TensorInfo) -> String {
    format!("tensors.{:?}", tensor.name)
}

fn shape_of(tensor: &TensorInfo) -> Result<Shape, Refusal> {
    let rows = usize::try_from(tensor.rows());
    let cols = usize::try_from(tensor.cols());
    match (rows, cols) {
        (Ok(rows), Ok(cols)) if rows > 0 && cols > 0 => Ok(Shape { rows, cols }),
        _ => Err(Refusal::new(
            Code::DimsInvalid,
            format!("{}.dims", field_of(tensor)),
            "rows and columns that fit this machine",
            format!("{:?}", tensor.dims),
        )
        .at(tensor.declared_at)),
    }
}
