//! What the engine makes of a tensor: its values in portions, and one exact product.

use std::num::NonZeroUsize;
use std::ops::Range;

use engine::encoding::Quantiser;
use engine::flavor::Shape;
use engine::format::{I2_S_P4R as P4R, I2_S_P64 as P64, I2_S_P128 as P128, TL1, TL2};
use engine::gguf::{Gguf, TensorInfo};
use engine::kernels::Kernel;
use engine::kernels::gemm::Stored;
use engine::matrix::Matrix;
use engine::numerics::{Profile, arithmetic};
use engine::refusal::Refusal;
use engine::transformer::Multiplier;

use crate::file::document::Format;
use crate::file::provenance::Hash;
use crate::numbers::split_mix::SplitMix64;

/// Elements looked at at once.
const PORTION: usize = 1 << 22;
/// Makes the activations every matrix is multiplied with.
const SEED: u64 = 1;

/// How the engine computes here.
#[derive(Clone, Copy)]
pub struct Engine {
    /// Order of float operations.
    pub profile: Profile,
    /// Inner loops.
    pub kernel: Kernel,
}

/// A tensor as the engine reads it.
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Rows and columns; a vector is one row.
    pub shape: Shape,
    /// Whether it is a matrix, which multiplies.
    pub multiplies: bool,
    matrix: Matrix,
}

impl Tensor {
    /// Takes a tensor of a file.
    pub fn of(gguf: &Gguf, tensor: &TensorInfo, kernel: Kernel) -> Result<Self, Refusal> {
        Ok(Tensor {
            name: tensor.name.clone(),
            shape: Shape::of(tensor)?,
            multiplies: tensor.dims.len() > 1,
            matrix: Matrix::from_tensor(gguf, tensor, None, kernel)?,
        })
    }

    /// How the elements are written.
    pub fn encoding(&self) -> &'static str {
        self.matrix.encoding()
    }

    /// The format, where a library might read it. Packings that none does are handed over as F32.
    pub fn format(&self) -> Option<Format> {
        let format: Option<Format> = self.encoding().parse().ok();
        format.filter(|format| !format.fills_up())
    }

    /// Ranges of rows that fit in memory.
    pub fn portions(&self) -> impl Iterator<Item = Range<usize>> {
        let rows = self.shape.rows;
        let height = (PORTION / self.shape.cols).max(1);
        (0..rows)
            .step_by(height)
            .map(move |start| start..rows.min(start + height))
    }

    /// The same values in every other packing of ternary weights that holds them: none may change
    /// a bit of what they are or multiply to.
    pub fn repacked(&self, kernel: Kernel) -> Vec<Tensor> {
        if self.encoding() != P128.name {
            return Vec::new();
        }
        let values = self.decode(0..self.shape.rows);
        let packed = [&P64, &P4R, &TL1, &TL2].into_iter().filter_map(|format| {
            let bytes = format.encode_matrix(&values, self.shape, &Quantiser::default())?;
            let stored = Stored::from_vec(self.shape, bytes, Vec::new());
            Some(Tensor {
                name: self.name.clone(),
                shape: self.shape,
                multiplies: self.multiplies,
                matrix: Matrix::of(format, stored, kernel),
            })
        });
        packed.collect()
    }

    /// The values of some rows.
    pub fn decode(&self, rows: Range<usize>) -> Vec<f32> {
        let mut values = vec![0.0; rows.len() * self.shape.cols];
        for (row, out) in rows.zip(values.chunks_exact_mut(self.shape.cols)) {
            self.matrix.decode_row(row, out);
        }
        values
    }

    /// The product with `activations`, one output a row.
    pub fn product(&self, engine: Engine) -> Vec<f32> {
        let Shape { rows, cols } = self.shape;
        let arithmetic = arithmetic(engine.profile, engine.kernel);
        let mut multiplier = Multiplier::new(arithmetic, NonZeroUsize::MIN);
        let mut out = vec![0.0; rows];
        multiplier.multiply(&self.matrix, &activations(cols), &mut out);
        out
    }

    /// Hash of all values.
    pub fn decoded_hash(&self) -> String {
        let mut hash = Hash::default();
        for rows in self.portions() {
            hash.add(&self.decode(rows));
        }
        hash.hex()
    }

    /// Hash of the product; none of a vector.
    pub fn product_hash(&self, engine: Engine) -> Option<String> {
        self.multiplies.then(|| {
            let mut hash = Hash::default();
            hash.add(&self.product(engine));
            hash.hex()
        })
    }
}

/// What matrices of so many columns are multiplied with, the same for all of them.
pub fn activations(cols: usize) -> Vec<f32> {
    let mut dice = SplitMix64(SEED);
    (0..cols).map(|_| 2.0 * dice.signed_unit()).collect()
}
