//! The table of weight formats: for each its name, the type numbers it goes by, its blocks, how a
//! row is decoded and what multiplies it.
//!
//! A format more is a file more and a row more. Which instructions multiply it is chosen here,
//! once, when a matrix is opened.
#![forbid(unsafe_code)]

/// What chooses a kernel where there is one for each order of sums, and vectors of x86-64 for both.
macro_rules! either {
    ($lanes:expr, $whole:expr, $($products:ident)::+, $($wholes:ident)::+) => {
        |order, kernel| {
            use $crate::kernels::{BlockOrder, Kernel};
            match (order, kernel) {
                (BlockOrder::EightLanes, Kernel::Scalar) => $lanes,
                (BlockOrder::WholeBlocks, Kernel::Scalar) => $whole,
                #[cfg(target_arch = "x86_64")]
                (order, Kernel::Avx2(avx2)) => avx2.of(match order {
                    BlockOrder::EightLanes => &$crate::kernels::x86::$($products)::+,
                    BlockOrder::WholeBlocks => &$crate::kernels::x86::$($wholes)::+,
                }),
                #[cfg(target_arch = "x86_64")]
                (order, Kernel::Avx512Vnni(vnni)) => vnni.narrow(match order {
                    BlockOrder::EightLanes => &$crate::kernels::x86::$($products)::+,
                    BlockOrder::WholeBlocks => &$crate::kernels::x86::$($wholes)::+,
                }),
                #[cfg(target_arch = "aarch64")]
                (BlockOrder::EightLanes, Kernel::Neon(_)) => $lanes,
                #[cfg(target_arch = "aarch64")]
                (BlockOrder::WholeBlocks, Kernel::Neon(_)) => $whole,
            }
        }
    };
}

mod blocks_of_32;
mod codes;
mod few_bits;
mod floats;
pub mod foreign;
mod fp8;
mod i2_s;
mod k_quants;
mod q6_k;
mod q8_0;
mod trits;

pub use blocks_of_32::{Q4_0, Q4_1, Q5_0, Q5_1};
pub use codes::{BITNET32_F16, QK256, SPLIT32};
pub use few_bits::{Q1_0, Q2_0};
pub use floats::{BF16, F16, F32};
pub use fp8::{F8_E4M3, F8_E5M2};
pub use i2_s::{P4R as I2_S_P4R, P64 as I2_S_P64, P128 as I2_S_P128, TL1, TL2};
pub use k_quants::{Q2_K, Q3_K, Q4_K, Q5_K};
pub use q6_k::FORMAT as Q6_K;
pub use q8_0::FORMAT as Q8_0;
pub use trits::{TQ1_0, TQ2_0};

use crate::encoding::Quantiser;
use crate::encoding::float::Float;
use crate::flavor::{Flavor, Shape};
use crate::gguf::TypeId;
use crate::gguf::dialect::{Dialect, Own};
use crate::kernels::gemm::{Gemm, Stored};
use crate::kernels::{BlockOrder, Kernel};

/// How the elements of a matrix are written.
pub struct Format {
    /// Stable name: what receipts carry, and kernels after their instruction set.
    pub name: &'static str,
    /// The type numbers of tensors written so.
    pub types: &'static [u32],
    /// Whose meaning of these numbers it is; nobody's where it is everybody's.
    pub dialects: &'static [Dialect],
    /// Elements stored together; a row is a whole number of them, unless `flavor` says
    /// otherwise.
    pub block: usize,
    /// Bytes they take.
    pub block_bytes: usize,
    /// The ternary packing it is, where the bytes decide that and not the type number.
    pub flavor: Option<Flavor>,
    /// Writes one row as floats.
    pub decode_row: fn(weights: &Stored, row: usize, out: &mut [f32]),
    /// What `general.file_type` is in a file of it, as loaders number them.
    pub file_type: Option<u32>,
    /// Writes values.
    pub encode: Encode,
    /// What multiplies it.
    pub product: Product,
}

/// How values are written in a format.
pub enum Encode {
    /// Row by row, whole blocks each.
    Rows(fn(row: &[f32], quantiser: &Quantiser, out: &mut Vec<u8>)),
    /// All at once: something of it belongs to the whole matrix.
    Matrix(fn(values: &[f32], shape: Shape) -> Vec<u8>),
    /// Not at all: a part of it lies in another tensor.
    Nothing,
}

/// What multiplies a format.
pub enum Product {
    /// Plain floats, multiplied in the order of the numeric profile.
    Floats(Float),
    /// Kernels of its own.
    Kernels {
        /// The one for an order of sums and an instruction set.
        choose: fn(BlockOrder, Kernel) -> &'static dyn Gemm,
        /// Brings a tensor into the layout all kernels read, where files have another.
        arrange: fn(Stored) -> Stored,
    },
    /// Nothing of its own: no reference multiplies it. Rows become floats, and those are
    /// multiplied as F32 is, so that a file rewritten as F32 gives the same bits.
    Decoded,
}

/// Every format, in the order they are listed to people.
pub static FORMATS: [&Format; 36] = [
    &F32,
    &F16,
    &BF16,
    &Q4_0,
    &Q4_1,
    &Q5_0,
    &Q5_1,
    &Q8_0,
    &Q2_K,
    &Q3_K,
    &Q4_K,
    &Q5_K,
    &Q6_K,
    &Q1_0,
    &Q2_0,
    &F8_E4M3,
    &F8_E5M2,
    &foreign::TQ2_0_G128,
    &foreign::PQ2_0,
    &foreign::PTQ1_0,
    &foreign::INT8,
    &foreign::Q1_0_NEGATED,
    &foreign::Q4_0_PAIRS,
    &foreign::Q4_K,
    &foreign::Q5_K,
    &foreign::Q6_K,
    &TQ1_0,
    &TQ2_0,
    &I2_S_P128,
    &I2_S_P64,
    &I2_S_P4R,
    &TL1,
    &TL2,
    &QK256,
    &BITNET32_F16,
    &SPLIT32,
];

impl std::fmt::Debug for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Format {
    /// The format of that name.
    pub fn named(name: &str) -> Option<&'static Format> {
        FORMATS.into_iter().find(|format| format.name == name)
    }

    /// The formats a type number stands for in a dialect: several where the bytes decide. What
    /// only the dialect means goes before what everybody means.
    pub fn of_type(number: u32, dialect: Dialect) -> impl Iterator<Item = &'static Format> {
        let of_dialect =
            |format: &&Format| format.types.contains(&number) && format.dialects.contains(&dialect);
        let own = Own::of(number, dialect).is_some() || FORMATS.iter().any(of_dialect);
        FORMATS.into_iter().filter(move |format| {
            let speaks = if own {
                format.dialects.contains(&dialect)
            } else {
                format.is_common()
            };
            speaks && format.types.contains(&number)
        })
    }

    /// What its first number means where it is meant so.
    pub fn meaning(&self) -> TypeId {
        let dialect = self.dialects.first().copied();
        TypeId::of(self.types[0], dialect.unwrap_or(Dialect::Ggml))
    }

    /// Whether everybody means it by its number who means nothing of their own.
    pub fn is_common(&self) -> bool {
        self.dialects.is_empty()
    }

    /// The format of a packing.
    pub fn of_flavor(flavor: Flavor) -> &'static Format {
        let mut all = FORMATS.into_iter();
        all.find(|format| format.flavor == Some(flavor))
            .expect("every packing has its row")
    }

    /// What multiplies it in an order of sums with an instruction set; `None` for plain floats and
    /// what becomes them, which the numeric profile multiplies.
    pub fn gemm(&self, order: BlockOrder, kernel: Kernel) -> Option<&'static dyn Gemm> {
        match self.product {
            Product::Floats(_) | Product::Decoded => None,
            Product::Kernels { choose, .. } => Some(choose(order, kernel)),
        }
    }

    /// Appends one row. For formats that are written row by row, and rows of whole blocks.
    pub fn encode_row(&self, row: &[f32], quantiser: &Quantiser, out: &mut Vec<u8>) -> bool {
        match self.encode {
            Encode::Rows(encode) if row.len().is_multiple_of(self.block) => {
                encode(row, quantiser, out);
                true
            }
            _ => false,
        }
    }

    /// A whole matrix, row after row; `None` where it cannot be written so.
    pub fn encode_matrix(
        &self,
        values: &[f32],
        shape: Shape,
        quantiser: &Quantiser,
    ) -> Option<Vec<u8>> {
        let bytes = usize::try_from(self.bytes_needed(shape)?).ok()?;
        match self.encode {
            Encode::Rows(encode) => {
                let mut out = Vec::with_capacity(bytes);
                for row in values.chunks_exact(shape.cols) {
                    encode(row, quantiser, &mut out);
                }
                Some(out)
            }
            Encode::Matrix(encode) => Some(encode(values, shape)),
            Encode::Nothing => None,
        }
    }

    /// Bytes a matrix of that shape takes; `None` where it cannot be written so, or cannot be
    /// counted.
    pub fn bytes_needed(&self, shape: Shape) -> Option<u64> {
        match self.flavor {
            Some(flavor) => flavor.bytes_needed(shape),
            None => match self.meaning() {
                TypeId::Known(known) if shape.cols.is_multiple_of(self.block) => {
                    known.bytes(shape.cols as u64, shape.rows as u64)
                }
                _ => None,
            },
        }
    }
}

/// The bytes of one row, where rows follow each other.
fn row_of(weights: &Stored, row: usize) -> &[u8] {
    let stride = weights.bytes.len() / weights.shape.rows;
    &weights.bytes[row * stride..(row + 1) * stride]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_packings_are_found_again() {
        for format in FORMATS {
            assert!(std::ptr::eq(
                Format::named(format.name).expect("named"),
                format
            ));
            if let Some(flavor) = format.flavor {
                assert_eq!(format.name, flavor.name());
            }
        }
        assert!(
            Flavor::ALL
                .iter()
                .all(|&f| Format::of_flavor(f).flavor == Some(f))
        );
    }

    #[test]
    fn blocks_are_those_of_the_type_numbers() {
        let mut compared = 0;
        for format in FORMATS {
            if let TypeId::Known(known) = format.meaning() {
                let theirs = (known.block_elements, known.block_bytes);
                assert_eq!((format.block as u64, format.block_bytes as u64), theirs);
                assert_eq!(format.name, known.name.to_lowercase());
                compared += 1;
            }
        }
        assert_eq!(compared, 28);
    }
}
