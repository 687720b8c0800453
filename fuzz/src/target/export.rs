//! Weights in memory into every format there is, and files of importance.

use arbitrary::{Arbitrary, Unstructured};
use engine::bytes::ModelBytes;
use engine::encoding::Author;
use engine::export::{
    ExportConfig, Importance, WeightTensor, estimate_export_size, export_to_gguf,
};
use engine::format::FORMATS;
use engine::gguf::{Gguf, Writer};
use engine::kernels::Kernel;
use engine::matrix::Matrix;

use crate::drawn::drawn;

drawn! {
    struct Input {
        format: u8,
        name: String,
        tensors: Vec<(String, [u8; 2], u8, Vec<f32>)>,
        patterns: Vec<String>,
        listed: Option<Vec<String>>,
        vectors: bool,
        pad: bool,
        author: bool,
    }
}

impl Input {
    /// Few values, again and again: each format has blocks of its own length.
    fn tensors(&self) -> Vec<WeightTensor> {
        let tensors = self.tensors.iter().take(3);
        let tensor = |(name, [rows, cols], unit, values): &(String, [u8; 2], u8, Vec<f32>)| {
            let unit = [1, 32, 64, 256][usize::from(*unit) % 4];
            let (rows, cols) = (usize::from(*rows % 5), usize::from(*cols % 5) * unit);
            let data = values.iter().copied().chain([0.25]).cycle();
            WeightTensor::new(name, data.take(rows * cols).collect(), vec![rows, cols])
        };
        tensors.map(tensor).collect()
    }
}

/// Exports, and decodes what was written.
pub fn run(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else {
        return;
    };
    let format = FORMATS[usize::from(input.format) % FORMATS.len()];
    let Ok(mut config) = ExportConfig::new(format.name, &input.name) else {
        return;
    };
    config.fp32_layers = input.patterns.iter().take(3).cloned().collect();
    config.quantize_layers = input.listed.clone();
    config.quantize_vectors = input.vectors;
    config.pad_partial_blocks = input.pad;
    if input.author {
        config.author = Author::Upstream;
    }
    let tensors = input.tensors();
    let file = match export_to_gguf(&tensors, &config, &[]) {
        Ok(file) => file,
        Err(why) => return assert!(!why.to_string().is_empty()),
    };
    assert!(estimate_export_size(&tensors, &config) <= file.len() as u64);
    let Ok(gguf) = Gguf::parse(ModelBytes::from_vec(file)) else {
        // Names are the caller's, and no tensor of a file has just any.
        return;
    };
    for tensor in gguf.tensors.iter() {
        let Ok(matrix) = Matrix::from_tensor(&gguf, tensor, format.flavor, Kernel::best()) else {
            continue;
        };
        let mut row = vec![0.0; matrix.cols()];
        (0..matrix.rows()).for_each(|at| matrix.decode_row(at, &mut row));
    }
}

/// A file of importance.
pub fn importance(data: &[u8]) {
    if let Ok(gguf) = Gguf::parse(ModelBytes::from_vec(data.to_vec()))
        && let Ok(importance) = Importance::read(&gguf)
    {
        for tensor in gguf.tensors.iter() {
            let name = tensor.name.trim_end_matches(".in_sum2");
            let columns = importance.of(name).into_iter().flatten();
            assert!(columns.copied().all(f32::is_finite), "{name}");
        }
    }
}

/// A sound one.
pub fn importances() -> Vec<Vec<u8>> {
    let sums = vec![0; 32];
    let counts = 1.0_f32.to_le_bytes().to_vec();
    let file = Writer::new(3)
        .key("general.type", "imatrix")
        .key("imatrix.chunk_count", 1_u32)
        .key("imatrix.chunk_size", 512_u32)
        .key("imatrix.datasets", vec!["a"])
        .tensor("blk.0.attn_q.weight.in_sum2", &[8, 1], 0, sums)
        .tensor("blk.0.attn_q.weight.counts", &[1, 1], 0, counts);
    vec![file.finish()]
}
