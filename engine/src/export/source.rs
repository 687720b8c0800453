//! Where weights come from: values in memory, or another file.
#![forbid(unsafe_code)]

use super::ExportError;
use super::config::matches;
use crate::flavor::Flavor;
use crate::gguf::Gguf;
use crate::kernels::Kernel;
use crate::matrix::Matrix;

/// A tensor that can be exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name.
    pub name: String,
    /// Dimensions, the contiguous one first.
    pub dims: Vec<u64>,
    /// How it is written where it comes from.
    pub written: &'static str,
}

impl TensorSpec {
    /// Whether a pattern describes its name.
    pub fn is_called(&self, pattern: &str) -> bool {
        matches(pattern, &self.name)
    }
}

/// Tensors to be read row by row, from several threads.
pub trait Source: Sync {
    /// All of them, in order.
    fn tensors(&self) -> &[TensorSpec];

    /// Begins to read the tensor of that number.
    fn open(&self, number: usize) -> Result<Box<dyn Decoded + '_>, ExportError>;
}

/// The values of one tensor.
pub trait Decoded: Sync {
    /// Writes one row.
    fn row(&self, row: usize, out: &mut [f32]);
}

/// A named tensor of values in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightTensor {
    /// Its name.
    pub name: String,
    /// Values, row after row.
    pub data: Vec<f32>,
    /// The shape, outputs first: the last dimension is the contiguous one.
    pub shape: Vec<usize>,
}

impl WeightTensor {
    /// A tensor of that name, those values and that shape.
    pub fn new(name: &str, data: Vec<f32>, shape: Vec<usize>) -> Self {
        WeightTensor {
            name: name.to_owned(),
            data,
            shape,
        }
    }

    /// How many values the shape speaks of; nothing if they cannot be counted.
    pub fn num_elements(&self) -> Option<usize> {
        let mut dims = self.shape.iter();
        dims.try_fold(1usize, |count, &dim| count.checked_mul(dim))
    }
}

/// Tensors in memory whose shapes fit their values.
pub(super) struct Weights<'a> {
    tensors: &'a [WeightTensor],
    specs: Vec<TensorSpec>,
}

impl<'a> Weights<'a> {
    pub(super) fn new(tensors: &'a [WeightTensor]) -> Result<Self, ExportError> {
        let specs = tensors.iter().map(|tensor| {
            if tensor.num_elements() != Some(tensor.data.len()) {
                return Err(ExportError::Quantize {
                    name: tensor.name.clone(),
                    reason: format!(
                        "the shape {:?} is not that of {} values",
                        tensor.shape,
                        tensor.data.len()
                    ),
                });
            }
            Ok(TensorSpec {
                name: tensor.name.clone(),
                dims: tensor.shape.iter().rev().map(|&dim| dim as u64).collect(),
                written: "f32",
            })
        });
        Ok(Weights {
            tensors,
            specs: specs.collect::<Result<_, _>>()?,
        })
    }
}

impl Source for Weights<'_> {
    fn tensors(&self) -> &[TensorSpec] {
        &self.specs
    }

    fn open(&self, number: usize) -> Result<Box<dyn Decoded + '_>, ExportError> {
        Ok(Box::new(&self.tensors[number].data[..]))
    }
}

impl Decoded for &[f32] {
    fn row(&self, row: usize, out: &mut [f32]) {
        out.copy_from_slice(&self[row * out.len()..(row + 1) * out.len()]);
    }
}

/// The tensors of a file, whatever formats they are in.
pub struct FileSource<'a> {
    gguf: &'a Gguf,
    flavor: Option<Flavor>,
    specs: Vec<TensorSpec>,
    /// Number of each among the tensors of the file.
    numbers: Vec<usize>,
}

impl<'a> FileSource<'a> {
    /// Decides how every tensor is to be read, two-bit weights as is said. Tensors that only hold
    /// the scales of others are left out.
    pub fn new(gguf: &'a Gguf, flavor: Option<Flavor>) -> Result<Self, ExportError> {
        let (mut specs, mut numbers) = (Vec::new(), Vec::new());
        let mut scales = Vec::new();
        for (number, tensor) in gguf.tensors.iter().enumerate() {
            let opened = Matrix::with_evidence(gguf, tensor, flavor, Kernel::best());
            let (matrix, detection) = opened.map_err(ExportError::Source)?;
            scales.extend(detection.and_then(|detection| detection.scales));
            numbers.push(number);
            specs.push(TensorSpec {
                name: tensor.name.clone(),
                dims: tensor.dims.clone(),
                written: matrix.encoding(),
            });
        }
        let is_weight = |spec: &TensorSpec| !scales.contains(&spec.name);
        let kept: Vec<bool> = specs.iter().map(is_weight).collect();
        let keep = |i: &mut usize| {
            *i += 1;
            kept[*i - 1]
        };
        let (mut i, mut j) = (0, 0);
        specs.retain(|_| keep(&mut i));
        numbers.retain(|_| keep(&mut j));
        Ok(FileSource {
            gguf,
            flavor,
            specs,
            numbers,
        })
    }
}

impl Source for FileSource<'_> {
    fn tensors(&self) -> &[TensorSpec] {
        &self.specs
    }

    fn open(&self, number: usize) -> Result<Box<dyn Decoded + '_>, ExportError> {
        let tensor = self.gguf.tensors.iter().nth(self.numbers[number]);
        let tensor = tensor.expect("it was there when it was counted");
        let matrix = Matrix::from_tensor(self.gguf, tensor, self.flavor, Kernel::best());
        Ok(Box::new(matrix.map_err(ExportError::Source)?))
    }
}

impl Decoded for Matrix {
    fn row(&self, row: usize, out: &mut [f32]) {
        self.decode_row(row, out);
    }
}
