//! Which ternary packing a tensor's bytes are in, decided from evidence or not at all.
#![forbid(unsafe_code)]

pub mod bitnet32_f16;
mod detect;
mod evidence;
pub mod i2_s;
pub mod i2_s_p128;
pub mod i2_s_p4r;
pub mod i2_s_p64;
pub mod ptq1_0;
pub mod qk256;
pub mod split32;
mod tables;
pub mod tl1;
pub mod tl2;
pub mod tq1_0;
pub mod tq2_0;

use std::fmt;
use std::str::FromStr;

use crate::gguf::TensorInfo;
use crate::gguf::tensor_type::id;
use crate::refusal::{Code, Refusal};

pub use detect::{Candidate, Detection, detect};

/// Rows and columns of a matrix. A row is contiguous in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Number of rows: outputs of the matrix.
    pub rows: usize,
    /// Length of a row: inputs of the matrix.
    pub cols: usize,
}

impl Shape {
    /// The shape of a tensor as a matrix: everything but the contiguous dimension is rows.
    pub fn of(tensor: &TensorInfo) -> Result<Self, Refusal> {
        let rows = usize::try_from(tensor.rows());
        let cols = usize::try_from(tensor.cols());
        match (rows, cols) {
            (Ok(rows), Ok(cols)) if rows > 0 && cols > 0 => Ok(Shape { rows, cols }),
            _ => {
                let found = format!("{:?}", tensor.dims);
                Err(tensor.refuse(Code::DimsInvalid, "dims", "at least one element", found))
            }
        }
    }

    /// How many elements, if that can be counted.
    pub fn elements(self) -> Option<u64> {
        u64::try_from(self.rows.checked_mul(self.cols)?).ok()
    }

    /// How many blocks, when every row starts one, if that can be counted.
    pub fn row_blocks(self, block: usize) -> Option<u64> {
        u64::try_from(self.rows.checked_mul(self.cols.div_ceil(block))?).ok()
    }
}

/// The packings of two-bit weights. Each has a file of its own whose decoder is its definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flavor {
    /// I2_S as written on x86 and in every published file: 128 elements in 32 bytes.
    I2sP128,
    /// I2_S as written by late-2025 ARM builds: 64 elements in 16 bytes.
    I2sP64,
    /// I2_S with four rows in one byte.
    I2sP4r,
    /// 256 elements in 64 bytes, no scale.
    Qk256,
    /// 32 elements in 8 bytes followed by an f16 scale.
    Bitnet32F16,
    /// 32 elements in 8 bytes, scales in a sibling tensor.
    Split32,
    /// Five trits to the byte, 256 to the block (ggml id 34).
    Tq1_0,
    /// Two bits each, 256 to the block (ggml id 35).
    Tq2_0,
    /// Two weights an index, for lookup tables on ARM.
    Tl1,
    /// Three weights an index and a sign, for lookup tables on x86.
    Tl2,
}

impl Flavor {
    /// Every packing, in the order they are listed to people.
    pub const ALL: [Flavor; 10] = [
        Flavor::I2sP128,
        Flavor::I2sP64,
        Flavor::I2sP4r,
        Flavor::Qk256,
        Flavor::Bitnet32F16,
        Flavor::Split32,
        Flavor::Tq1_0,
        Flavor::Tq2_0,
        Flavor::Tl1,
        Flavor::Tl2,
    ];

    /// The packings that tensors of a type number may be in.
    pub fn of_type(number: u32) -> &'static [Flavor] {
        match number {
            id::I2_S_OR_I32 | id::I2_S => &[
                Flavor::I2sP128,
                Flavor::I2sP64,
                Flavor::I2sP4r,
                Flavor::Qk256,
                Flavor::Bitnet32F16,
                Flavor::Split32,
            ],
            id::TQ1_0 => &[Flavor::Tq1_0],
            id::TQ2_0 => &[Flavor::Tq2_0],
            id::TL1 => &[Flavor::Tl1],
            id::TL2 => &[Flavor::Tl2],
            _ => &[],
        }
    }

    /// Stable name, e.g. `i2_s-p128`: what `--flavor` takes and receipts carry.
    pub fn name(self) -> &'static str {
        match self {
            Flavor::I2sP128 => "i2_s-p128",
            Flavor::I2sP64 => "i2_s-p64",
            Flavor::I2sP4r => "i2_s-p4r",
            Flavor::Qk256 => "qk256",
            Flavor::Bitnet32F16 => "bitnet32-f16",
            Flavor::Split32 => "split32",
            Flavor::Tq1_0 => "tq1_0",
            Flavor::Tq2_0 => "tq2_0",
            Flavor::Tl1 => "tl1",
            Flavor::Tl2 => "tl2",
        }
    }

    /// Bytes a tensor of that shape takes, or `None` where the packing cannot hold it.
    pub fn bytes_needed(self, shape: Shape) -> Option<u64> {
        match self {
            Flavor::I2sP128 => i2_s_p128::bytes_needed(shape),
            Flavor::I2sP64 => i2_s_p64::bytes_needed(shape),
            Flavor::I2sP4r => i2_s_p4r::bytes_needed(shape),
            Flavor::Qk256 => qk256::bytes_needed(shape),
            Flavor::Bitnet32F16 => bitnet32_f16::bytes_needed(shape),
            Flavor::Split32 => split32::bytes_needed(shape),
            Flavor::Tq1_0 => tq1_0::bytes_needed(shape),
            Flavor::Tq2_0 => tq2_0::bytes_needed(shape),
            Flavor::Tl1 => tl1::bytes_needed(shape),
            Flavor::Tl2 => tl2::bytes_needed(shape),
        }
    }

    /// Writes one row as floats, as each packing's file defines it. `scales` is read by
    /// [`Flavor::Split32`] alone.
    pub fn decode_row(
        self,
        bytes: &[u8],
        scales: &[f32],
        shape: Shape,
        row: usize,
        out: &mut [f32],
    ) {
        assert_eq!(out.len(), shape.cols, "a row");
        let blocks = |block: usize, bytes_a_block: usize| {
            let stride = shape.cols / block * bytes_a_block;
            &bytes[row * stride..][..stride]
        };
        let in_one_scale = |packing, out: &mut [f32]| {
            i2_s::decode_row((bytes, i2_s::scale(bytes, shape)), shape, row, packing, out);
        };
        match self {
            Flavor::I2sP128 => in_one_scale(i2_s_p128::width, out),
            Flavor::I2sP64 => in_one_scale(i2_s_p64::width, out),
            Flavor::I2sP4r => in_one_scale(i2_s_p4r::width, out),
            Flavor::Qk256 => qk256::decode_row(bytes, shape, row, out),
            Flavor::Bitnet32F16 => each(out, |col| bitnet32_f16::value(bytes, shape, row, col)),
            Flavor::Split32 => each(out, |col| split32::value(bytes, scales, shape, row, col)),
            Flavor::Tq1_0 => tq1_0::decode(blocks(tq1_0::BLOCK, tq1_0::BLOCK_BYTES), out),
            Flavor::Tq2_0 => tq2_0::decode(blocks(tq2_0::BLOCK, tq2_0::BLOCK_BYTES), out),
            Flavor::Tl1 => each(out, |col| tl1::value(bytes, shape, row, col)),
            Flavor::Tl2 => each(out, |col| tl2::value(bytes, shape, row, col)),
        }
    }

    /// Whether it is one of the three packings of I2_S.
    pub fn is_i2_s(self) -> bool {
        self.i2_s_packing().is_some()
    }

    /// Where the codes lie, for the three packings of I2_S.
    pub fn i2_s_packing(self) -> Option<i2_s::Packing> {
        match self {
            Flavor::I2sP128 => Some(i2_s_p128::width),
            Flavor::I2sP64 => Some(i2_s_p64::width),
            Flavor::I2sP4r => Some(i2_s_p4r::width),
            _ => None,
        }
    }
}

/// Every element of a row by its column.
fn each(row: &mut [f32], value: impl Fn(usize) -> f32) {
    for (col, out) in row.iter_mut().enumerate() {
        *out = value(col);
    }
}

impl fmt::Display for Flavor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Flavor {
    type Err = String;

    /// Reads a name back; the error lists the names there are.
    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|flavor| flavor.name() == name);
        known.ok_or_else(|| {
            let names = Self::ALL.map(Flavor::name).join(", ");
            format!("no packing is called {name:?}; there are {names}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::dialect;

    /// What [`crate::gguf::dialect`] knows of sizes before anybody knows packings.
    #[test]
    fn a_file_s_dialect_goes_by_the_sizes_of_these_packings() {
        let same = [
            ("I2_S", Flavor::I2sP64),
            ("QK256", Flavor::Qk256),
            ("BitNet32-F16", Flavor::Bitnet32F16),
            ("Split32", Flavor::Split32),
        ];
        for (name, flavor) in same {
            for (rows, cols) in [(1, 64), (3, 300), (4, 256), (7, 192), (640, 2560)] {
                let shape = Shape { rows, cols };
                let theirs = dialect::bytes_of_packing(name, cols as u64, rows as u64);
                assert_eq!(theirs, flavor.bytes_needed(shape), "{name} {shape:?}");
            }
        }
    }

    #[test]
    fn names_are_read_back() {
        for flavor in Flavor::ALL {
            assert_eq!(flavor.name().parse(), Ok(flavor));
        }
        let error = "i2_s".parse::<Flavor>().expect_err("not a name");
        assert!(error.contains("i2_s-p128"), "{error}");
    }
}
