//! A file with every weight as F32: the same values, in a form that hides no difference.

use std::io;
use std::path::Path;

use engine::flavor::{Flavor, Shape};
use engine::gguf::writer::Field;
use engine::gguf::{Gguf, TensorInfo, Writer};
use engine::kernels::Kernel;
use engine::matrix::Matrix;

use crate::exit::Failure;
use crate::io::atomic::Unfinished;

/// Rows that are written together, so that none is written alone.
const ROWS: usize = 64;

/// Writes it. No more than some rows of it are in memory.
pub fn widen(gguf: &Gguf, flavor: Option<Flavor>, to: &Path) -> Result<(), Failure> {
    let cannot = |e: io::Error| Failure::environment(e);
    let mut writer = Writer::new(gguf.version);
    for (key, value) in gguf.metadata.iter() {
        if key != "general.alignment" {
            writer = writer.key(key, Field::from(value));
        }
    }
    for tensor in gguf.tensors.iter() {
        writer = writer.declare(&tensor.name, &tensor.dims, 0, tensor.elements() * 4);
    }
    let file = Unfinished::create(to).map_err(cannot)?;
    let mut data = writer.begin(file).map_err(cannot)?;
    for tensor in gguf.tensors.iter() {
        rows(gguf, tensor, flavor, |values| {
            let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            data.put(&bytes).map_err(cannot)
        })?;
    }
    data.finish().and_then(Unfinished::commit).map_err(cannot)
}

/// Hands out a tensor's values, some rows at a time.
pub fn rows(
    gguf: &Gguf,
    tensor: &TensorInfo,
    flavor: Option<Flavor>,
    mut take: impl FnMut(&[f32]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let Shape { rows, cols } = Shape::of(tensor)?;
    let matrix = Matrix::from_tensor(gguf, tensor, flavor, Kernel::best())?;
    let mut values = vec![0.0; cols * ROWS.min(rows)];
    for first in (0..rows).step_by(ROWS) {
        let count = ROWS.min(rows - first);
        let values = &mut values[..count * cols];
        for (row, out) in values.chunks_exact_mut(cols).enumerate() {
            matrix.decode_row(first + row, out);
        }
        take(values)?;
    }
    Ok(())
}
