//! Arrays of floats as other programs save them: NumPy, safetensors, raw.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use engine::encoding::float::Float;
use safetensors::{Dtype, SafeTensors};

use super::npy;

/// Values and their shape, outermost first.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// The shape, which the values fill.
    pub shape: Vec<usize>,
    /// Row-major, widened to `f32`.
    pub values: Vec<f32>,
}

impl Array {
    /// A NumPy file.
    pub fn from_npy(bytes: &[u8]) -> Result<Self, String> {
        let (shape, values) = npy::read(bytes)?;
        Ok(Array { shape, values })
    }

    /// `f32` values and nothing else, in a shape that is known from elsewhere.
    pub fn from_raw(bytes: &[u8], shape: &[usize]) -> Result<Self, String> {
        let size = |count: usize, n: &usize| count.checked_mul(*n);
        let promised = shape.iter().try_fold(4_usize, size);
        if promised != Some(bytes.len()) {
            let count = bytes.len();
            return Err(format!(
                "{count} bytes, where f32 of the shape {shape:?} take {}",
                promised.map_or("more than there can be".into(), |n| n.to_string())
            ));
        }
        Ok(Array {
            shape: shape.to_vec(),
            values: decoded(Float::F32, bytes),
        })
    }

    /// Every array of a safetensors file by its name, each of one of these types.
    pub fn all_of(bytes: &[u8], types: &[Float]) -> Result<BTreeMap<String, Array>, String> {
        Ok(Self::in_order(bytes, types)?.into_iter().collect())
    }

    /// The same in the order in which they lie in the file.
    pub fn in_order(bytes: &[u8], types: &[Float]) -> Result<Vec<(String, Array)>, String> {
        let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
        let mut views: Vec<_> = file.iter().collect();
        views.sort_by_key(|(_, view)| view.data().as_ptr());
        let array = |(name, view): (&str, safetensors::tensor::TensorView<'_>)| {
            let float = float_of(view.dtype()).filter(|float| types.contains(float));
            let float = float.ok_or_else(|| {
                let names: Vec<String> = types.iter().map(|t| t.name().to_uppercase()).collect();
                format!("{name} is {:?}, not {}", view.dtype(), names.join(" or "))
            })?;
            let array = Array {
                shape: view.shape().to_vec(),
                values: decoded(float, view.data()),
            };
            Ok((name.to_owned(), array))
        };
        views.into_iter().map(array).collect()
    }
}

fn float_of(dtype: Dtype) -> Option<Float> {
    match dtype {
        Dtype::F32 => Some(Float::F32),
        Dtype::F16 => Some(Float::F16),
        Dtype::BF16 => Some(Float::Bf16),
        _ => None,
    }
}

/// All values of a whole number of elements.
pub fn decoded(float: Float, bytes: &[u8]) -> Vec<f32> {
    let mut values = vec![0.0; bytes.len() / float.element_bytes()];
    float.decode(bytes, &mut values);
    values
}
