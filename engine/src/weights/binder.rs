//! Takes tensors out of a file by name, one at a time, and remembers which were asked for.
#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::thread;

use super::{Expected, Linear, expected};
use crate::config::{Architecture, Biases, Config};
use crate::flavor::{Detection, Flavor};
use crate::gguf::tensor_type::id;
use crate::gguf::{Gguf, TensorInfo, Warning};
use crate::kernels::Kernel;
use crate::matrix::Matrix;
use crate::pool::Pool;
use crate::refusal::{Code, Refusal};

/// Matrices of fewer bytes are opened without other threads.
const WORTH_THREADS: u64 = 64 << 20;

/// A matrix, and what was decided about its packing.
type Opened = Result<(Matrix, Option<Detection>), Refusal>;

pub(super) struct Binder<'a> {
    gguf: &'a Gguf,
    architecture: Architecture,
    expected: HashMap<String, Expected>,
    forced: Option<Flavor>,
    kernel: Kernel,
    /// What was opened before anybody asked for it.
    opened: HashMap<&'a str, Opened>,
    asked: HashSet<String>,
    detections: Vec<(String, Detection)>,
    warnings: Vec<Warning>,
}

impl<'a> Binder<'a> {
    pub fn new(gguf: &'a Gguf, config: &Config, forced: Option<Flavor>, kernel: Kernel) -> Self {
        let expected = expected(config);
        let opened = open_together(gguf, &expected, forced, kernel);
        let listed = expected.into_iter();
        Binder {
            gguf,
            architecture: config.architecture,
            expected: listed.map(|e| (e.name.clone(), e)).collect(),
            forced,
            kernel,
            opened,
            asked: HashSet::new(),
            detections: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// A matrix that must be there.
    pub fn matrix(&mut self, name: &str) -> Result<Matrix, Refusal> {
        let found = self.optional_matrix(name)?;
        found.ok_or_else(|| missing(name, self.dims(name)))
    }

    /// A matrix that may be there.
    pub fn optional_matrix(&mut self, name: &str) -> Result<Option<Matrix>, Refusal> {
        let Some(tensor) = self.find(name) else {
            return Ok(None);
        };
        check_dims(tensor, self.dims(name))?;
        let opened = self.opened.remove(name);
        let open = || Matrix::with_evidence(self.gguf, tensor, self.forced, self.kernel);
        let (matrix, detection) = opened.unwrap_or_else(open)?;
        if let Some(detection) = detection {
            self.asked.extend(detection.scales.clone());
            self.detections.push((name.to_string(), detection));
        }
        Ok(Some(matrix))
    }

    /// Single-precision values that must be there.
    pub fn vector(&mut self, name: &str) -> Result<Vec<f32>, Refusal> {
        let found = self.optional_vector(name)?;
        found.ok_or_else(|| missing(name, self.dims(name)))
    }

    /// Single-precision values that may be there.
    pub fn optional_vector(&mut self, name: &str) -> Result<Option<Vec<f32>>, Refusal> {
        let Some(tensor) = self.find(name) else {
            return Ok(None);
        };
        let dims = self.dims(name);
        check_dims(tensor, dims)?;
        let len = dims[0];
        if tensor.type_id != id::F32 {
            let found = format!("type id {}", tensor.type_id);
            return Err(tensor.refuse(Code::DtypeMismatch, "type", "F32 (type id 0)", found));
        }
        let region = self.gguf.region(tensor);
        let values = region.as_chunks::<4>().0.iter().take(len);
        let values: Vec<f32> = values.map(|&bytes| f32::from_le_bytes(bytes)).collect();
        if values.len() < len {
            return Err(tensor.refuse(Code::DataPastEof, "data", len * 4, region.len()));
        }
        Ok(Some(values))
    }

    /// `stem.weight` with the `stem.scale` and `stem.bias` the architecture knows.
    pub fn linear(&mut self, stem: &str) -> Result<Linear, Refusal> {
        let matrix = self.matrix(&format!("{stem}.weight"))?;
        let mut linear = Linear {
            matrix,
            scale: None,
            bias: None,
        };
        let bias = format!("{stem}.bias");
        let facts = self.architecture.facts();
        if facts.scales {
            let scale = self.optional_vector(&format!("{stem}.scale"))?;
            linear.scale = scale.map(|values| values[0]);
        }
        match facts.biases {
            Biases::Nowhere => {}
            Biases::Attention if stem.contains("ffn") => {
                self.ignore(
                    &bias,
                    "this architecture has no bias in its feed-forward part",
                );
            }
            Biases::Attention | Biases::Everywhere => {
                linear.bias = self.optional_vector(&bias)?;
            }
        }
        Ok(linear)
    }

    /// A tensor whose presence means that the file was made for something else.
    pub fn forbid(&mut self, name: &str, why: &str) -> Result<(), Refusal> {
        match self.find(name) {
            None => Ok(()),
            Some(tensor) => {
                let found = "a tensor of that name";
                Err(tensor
                    .refuse(Code::UnknownTensor, "dims", "no such tensor", found)
                    .hint(why))
            }
        }
    }

    /// A tensor that may be there and is not used.
    pub fn ignore(&mut self, name: &str, why: &str) {
        if self.find(name).is_some() {
            self.warn("IGNORED_TENSOR", name, why.to_string());
        }
    }

    /// Ends the binding: what is worth a warning, tensors nobody asked for included, and
    /// what was decided about packings, in file order.
    pub fn finish(mut self) -> (Vec<Warning>, Vec<(String, Detection)>) {
        for tensor in self.gguf.tensors.iter() {
            if !self.asked.contains(&tensor.name) {
                let architecture = self.architecture.name();
                let detail = format!("architecture {architecture} has no such tensor; not used");
                self.warn("UNKNOWN_TENSOR", &tensor.name, detail);
            }
        }
        let declared_at = |name: &str| self.gguf.tensors.get(name).map(|t| t.declared_at);
        self.detections.sort_by_key(|(name, _)| declared_at(name));
        (self.warnings, self.detections)
    }

    /// What the list says of a tensor that the architecture has.
    fn dims(&self, name: &str) -> &[usize] {
        &self
            .expected
            .get(name)
            .expect("what is bound is in the list")
            .dims
    }

    fn find(&mut self, name: &str) -> Option<&'a TensorInfo> {
        self.asked.insert(name.to_string());
        self.gguf.tensors.get(name)
    }

    fn warn(&mut self, name: &'static str, tensor: &str, detail: String) {
        match self.warnings.iter_mut().find(|known| known.name == name) {
            Some(known) => known.count += 1,
            None => self.warnings.push(Warning {
                name,
                field: format!("tensors.\"{tensor}\""),
                detail,
                count: 1,
            }),
        }
    }
}

/// Opens every matrix of a large file on all processors: each byte of a packing that has to be
/// detected is looked at, and that takes longer than anything else before the first token.
fn open_together<'a>(
    gguf: &'a Gguf,
    expected: &[Expected],
    forced: Option<Flavor>,
    kernel: Kernel,
) -> HashMap<&'a str, Opened> {
    let matrices = expected.iter().filter(|e| e.dims.len() == 2);
    let there = |e: &Expected| {
        let tensor = gguf.tensors.get(&e.name)?;
        check_dims(tensor, &e.dims).is_ok().then_some(tensor)
    };
    let tensors: Vec<&TensorInfo> = matrices.filter_map(there).collect();
    if tensors.iter().map(|tensor| tensor.gap).sum::<u64>() < WORTH_THREADS {
        return HashMap::new();
    }
    let mut opened: Vec<Option<Opened>> = tensors.iter().map(|_| None).collect();
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    Pool::new(threads).over_parts(&mut opened, 1, |i, opened| {
        opened[0] = Some(Matrix::with_evidence(gguf, tensors[i], forced, kernel));
    });
    let named = tensors
        .iter()
        .map(|tensor| tensor.name.as_str())
        .zip(opened);
    named
        .filter_map(|(name, opened)| Some((name, opened?)))
        .collect()
}

fn missing(name: &str, dims: &[usize]) -> Refusal {
    let field = format!("tensors.\"{name}\"");
    Refusal::new(
        Code::MissingTensor,
        field,
        format!("a tensor of dims {dims:?}"),
        "no tensor of that name",
    )
}

/// Dimensions of one may follow the ones asked for.
fn check_dims(tensor: &TensorInfo, expected: &[usize]) -> Result<(), Refusal> {
    let (head, tail) = tensor.dims.split_at(expected.len().min(tensor.dims.len()));
    let equal = head.iter().copied().eq(expected.iter().map(|&d| d as u64));
    if equal && tail.iter().all(|&d| d == 1) {
        return Ok(());
    }
    let found = format!("{:?}", tensor.dims);
    Err(tensor.refuse(Code::ShapeMismatch, "dims", format!("{expected:?}"), found))
}
