//! A weight matrix as one value: shape, packing, bytes and the kernel that multiplies it.
//!
//! Nothing of it is ever passed again as an argument, so a kernel cannot be handed bytes of
//! another packing or a row of another length.
#![forbid(unsafe_code)]

mod activations;

use crate::bytes::ByteRange;
use crate::encoding::float::Float;
use crate::flavor::{self, Detection, Flavor, Shape, qk256, split32};
use crate::format::{Format, Product};
use crate::gguf::tensor_type::id;
use crate::gguf::{Gguf, TensorInfo};
use crate::kernels::gemm::{Gemm, Stored};
use crate::kernels::{BlockOrder, Kernel};
use crate::numerics::Arithmetic;
use crate::numerics::dense::{Codes, Rows};
use crate::refusal::{Code, Refusal};

pub use activations::Activations;

/// A weight matrix, either plain floats or a packing with its own product.
pub enum Matrix {
    /// Floats; how they are multiplied is the numeric profile's business.
    Dense(Dense),
    /// Anything whose product starts with quantised weights.
    Packed(Packed),
    /// Anything whose rows become floats first.
    Decoded(Decoded),
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

/// Rows in a format that nobody multiplies: they are decoded, and multiplied as F32.
pub struct Decoded {
    format: &'static Format,
    stored: Stored,
}

/// Rows in a packing with kernels of its own.
pub struct Packed {
    format: &'static Format,
    stored: Stored,
    /// For every order of sums the kernel that was chosen when the matrix was opened.
    gemms: [&'static dyn Gemm; BlockOrder::ALL.len()],
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
        let dialect = tensor.dialect.map_or_else(|| gguf.spoken.decided(), Ok)?;
        let format = Format::of_type(tensor.type_id, dialect).next();
        let Some(format) = format else {
            let expected = "a type that is multiplied: F32, F16, BF16, Q4_0 to Q6_K, Q1_0, Q2_0 \
                            or a ternary packing";
            let found = format!("{}, {}", tensor.type_id, tensor.meaning().name());
            let refusal = tensor.refuse(Code::DtypeMismatch, "type", expected, found);
            return Err(if tensor.type_id == id::IQ2_S {
                refusal.hint(
                    "its codebook follows from no rule; a C++ reference decodes it: \
                     BITNET_IQ2S_IMPL=ffi harness export --format f16",
                )
            } else {
                refusal
            });
        };
        let detection = match format.flavor {
            Some(_) => Some(flavor::detect(gguf, tensor, forced)?),
            None => None,
        };
        let format = detection
            .as_ref()
            .map_or(format, |found| Format::of_flavor(found.flavor));
        let matrix = Self::open(gguf, tensor, format, detection.as_ref(), kernel)?;
        Ok((matrix, detection))
    }

    fn open(
        gguf: &Gguf,
        tensor: &TensorInfo,
        format: &'static Format,
        detection: Option<&Detection>,
        kernel: Kernel,
    ) -> Result<Self, Refusal> {
        let shape = Shape::of(tensor)?;
        if format.flavor.is_none() && !shape.cols.is_multiple_of(format.block) {
            let expected = format!("rows of whole blocks of {}", format.block);
            return Err(tensor.refuse(Code::BlockMismatch, "dims[0]", expected, shape.cols));
        }
        let bytes = exactly(gguf, tensor, format.bytes_needed(shape))?;
        let scales = detection.map_or(Ok(Vec::new()), |detection| scales(gguf, detection))?;
        let stored = Stored {
            shape,
            bytes,
            scales,
        };
        Ok(Self::of(format, stored, kernel))
    }

    /// Rows as a file stores them.
    pub fn of(format: &'static Format, stored: Stored, kernel: Kernel) -> Self {
        match format.product {
            Product::Floats(float) => Matrix::Dense(Dense {
                shape: stored.shape,
                format: float,
                bytes: stored.bytes,
            }),
            Product::Kernels { choose, arrange } => Matrix::Packed(Packed {
                format,
                stored: arrange(stored),
                gemms: BlockOrder::ALL.map(|order| choose(order, kernel)),
            }),
            Product::Decoded => Matrix::Decoded(Decoded { format, stored }),
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
            Matrix::Packed(packed) => packed.stored.shape,
            Matrix::Decoded(decoded) => decoded.stored.shape,
        }
    }

    /// How the weights are written, e.g. `i2_s-p128` or `f16`: fit for a receipt.
    pub fn encoding(&self) -> &'static str {
        match self {
            Matrix::Dense(dense) => dense.format.name(),
            Matrix::Packed(packed) => packed.format.name,
            Matrix::Decoded(decoded) => decoded.format.name,
        }
    }

    /// Name of the kernel that multiplies it in an arithmetic: fit for a receipt.
    pub fn kernel(&self, arithmetic: &dyn Arithmetic) -> String {
        match self {
            Matrix::Dense(dense) => {
                format!("{}-{}", arithmetic.instructions(), dense.format.name())
            }
            Matrix::Packed(packed) => packed.gemm(arithmetic.block_order()).name().to_owned(),
            Matrix::Decoded(decoded) => {
                format!("{}-f32-{}", arithmetic.instructions(), decoded.format.name)
            }
        }
    }

    /// Writes one row as floats.
    pub fn decode_row(&self, row: usize, out: &mut [f32]) {
        let shape = self.shape();
        assert!(row < shape.rows, "row {row} of {}", shape.rows);
        assert_eq!(out.len(), shape.cols, "a row");
        match self {
            Matrix::Dense(dense) => dense.format.decode(dense.row(row), out),
            Matrix::Packed(packed) => (packed.format.decode_row)(&packed.stored, row, out),
            Matrix::Decoded(decoded) => (decoded.format.decode_row)(&decoded.stored, row, out),
        }
    }
}

impl Dense {
    /// The bytes of one row.
    pub fn row(&self, row: usize) -> &[u8] {
        let stride = self.shape.cols * self.format.element_bytes();
        &self.bytes[row * stride..(row + 1) * stride]
    }
}

impl Decoded {
    /// How the weights lie in memory.
    pub fn stored(&self) -> &Stored {
        &self.stored
    }

    /// Its rows from `first` on, where they are codes.
    pub fn codes(&self, first: usize) -> Option<Codes<'_>> {
        let Stored {
            shape,
            bytes,
            scales,
        } = &self.stored;
        let blocks = shape.cols.div_ceil(split32::BLOCK);
        match self.format.flavor? {
            Flavor::Qk256 => {
                let stride = shape.cols.div_ceil(qk256::BLOCK) * qk256::BLOCK_BYTES;
                Some(Codes::Qk256(Rows::from(bytes, stride, first)))
            }
            Flavor::Bitnet32F16 => {
                let rows = Rows::from(bytes.as_chunks().0, blocks, first);
                Some(Codes::Bitnet32F16(rows))
            }
            Flavor::Split32 => {
                let codes = Rows::from(bytes, blocks * split32::BLOCK_BYTES, first);
                Some(Codes::Split32(codes, Rows::from(scales, blocks, first)))
            }
            _ => None,
        }
    }

    /// Writes so many rows from `first` on as floats, little endian.
    pub fn rows(&self, first: usize, out: &mut [[u8; 4]]) {
        let cols = self.stored.shape.cols;
        let mut row = vec![0.0; cols];
        for (number, out) in (first..).zip(out.chunks_exact_mut(cols)) {
            (self.format.decode_row)(&self.stored, number, &mut row);
            for (bytes, x) in out.iter_mut().zip(&row) {
                *bytes = x.to_le_bytes();
            }
        }
    }
}

impl Packed {
    /// How the weights lie in memory.
    pub fn stored(&self) -> &Stored {
        &self.stored
    }

    /// What multiplies it in that order of sums.
    pub fn gemm(&self, order: BlockOrder) -> &'static dyn Gemm {
        self.gemms[order as usize]
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
    if tensor.type_id == id::F64 {
        let bytes = exactly(gguf, tensor, elements.checked_mul(8))?;
        let doubles = bytes.as_chunks().0.iter();
        return Ok(doubles.map(|b| f64::from_le_bytes(*b) as f32).collect());
    }
    let format = if tensor.type_id == id::F32 {
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
