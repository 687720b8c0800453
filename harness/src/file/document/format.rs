//! How the elements of a tensor are written, for the formats this program can write as well.

use std::fmt;
use std::str::FromStr;

use engine::encoding::Quantiser;
use engine::flavor::{Flavor, Shape, i2_s};
use engine::format::{Encode, FORMATS, Product};
use engine::gguf::dialect::Dialect;
use engine::gguf::{TensorInfo, TypeId};
use engine::kernels::gemm::Stored;

/// How the elements of a tensor are written: a row of the engine's table that can be written.
#[derive(Clone, Copy)]
pub struct Format(&'static engine::format::Format);

impl Format {
    /// Single precision.
    pub const F32: Format = Format(&engine::format::F32);
    /// IEEE halves.
    pub const F16: Format = Format(&engine::format::F16);
    /// bfloat16.
    pub const BF16: Format = Format(&engine::format::BF16);
    /// Eight bits, 32 to a scale.
    pub const Q8_0: Format = Format(&engine::format::Q8_0);
    /// Six bits, 16 to a scale.
    pub const Q6_K: Format = Format(&engine::format::Q6_K);
    /// Five trits a byte.
    pub const TQ1_0: Format = Format(&engine::format::TQ1_0);
    /// Two bits a trit.
    pub const TQ2_0: Format = Format(&engine::format::TQ2_0);
    /// I2_S, 128 elements in 32 bytes.
    pub const I2_S_P128: Format = Format(&engine::format::I2_S_P128);
    /// I2_S, 64 elements in 16 bytes.
    pub const I2_S_P64: Format = Format(&engine::format::I2_S_P64);
    /// I2_S, four rows in one byte.
    pub const I2_S_P4R: Format = Format(&engine::format::I2_S_P4R);
    /// Scales in a sibling tensor, so that it takes two tensors to write one.
    pub const SPLIT32: Format = Format(&engine::format::SPLIT32);

    /// All that one tensor is enough for, in the order of the table.
    pub fn all() -> impl Iterator<Item = Format> {
        let written =
            |row: &&'static engine::format::Format| !matches!(row.encode, Encode::Nothing);
        FORMATS.into_iter().filter(written).map(Format)
    }

    /// Stable name, the engine's own.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Its row in the engine's table.
    pub fn row(self) -> &'static engine::format::Format {
        self.0
    }

    /// The type id files carry.
    pub fn type_id(self) -> u32 {
        self.0.types[0]
    }

    /// The number of its type in a library that knows I2_S as bitnet.cpp does.
    pub fn kind(self) -> i32 {
        self.type_id() as i32
    }

    /// The format of a type's number in such a library, which speaks no dialect but its own.
    pub fn of_kind(kind: i32) -> Option<Format> {
        let published = |format: &Format| format.packs_as_published() && !format.is_foreign();
        let of = |format: &Format| format.kind() == kind && published(format);
        Self::all().find(of)
    }

    /// The name of its type: packings of one type share it.
    pub fn type_name(self) -> &'static str {
        if self.is_i2_s() { "i2_s" } else { self.name() }
    }

    /// Whether upstream, or bitnet.cpp, means something else by its number.
    pub fn is_foreign(self) -> bool {
        let common = TypeId::of(self.type_id(), Dialect::Ggml);
        !self.0.is_common() && common != TypeId::Unknown
    }

    /// Whether this is the packing that a library on x86 means by the type.
    fn packs_as_published(self) -> bool {
        !self.is_i2_s() || self == Format::I2_S_P128
    }

    /// The format of a type id that means one thing to everybody.
    pub fn of_type(id: u32) -> Option<Format> {
        Self::all().find(|f| f.0.types == [id] && f.0.is_common())
    }

    /// The format of a tensor whose type id tells it, in the dialect of its file.
    pub fn of_tensor(tensor: &TensorInfo) -> Option<Format> {
        let mut rows = engine::format::Format::of_type(tensor.type_id, tensor.dialect?);
        let row = rows.next().filter(|row| row.flavor.is_none())?;
        Self::all().find(|format| std::ptr::eq(format.0, row))
    }

    /// The format of a packing, if this program writes it.
    pub fn of_flavor(flavor: Flavor) -> Option<Format> {
        Self::all().find(|f| f.flavor() == Some(flavor))
    }

    /// The engine's name for a packing of two-bit weights.
    pub fn flavor(self) -> Option<Flavor> {
        self.0.flavor
    }

    /// Where the codes lie, for the packings of I2_S.
    pub fn packing(self) -> Option<i2_s::Packing> {
        self.flavor().and_then(Flavor::i2_s_packing)
    }

    /// Whether products are sums of integers under one scale a row, so that the order of the
    /// columns does not matter to a bit.
    pub fn is_i2_s(self) -> bool {
        self.packing().is_some()
    }

    /// Elements of a row that belong together.
    pub fn block(self) -> usize {
        if self == Format::I2_S_P4R {
            return 64; // its blocks are columns of four rows
        }
        self.0.block
    }

    /// Bytes of a tensor of that shape, whose rows are whole blocks or filled up to some.
    pub fn bytes(self, shape: Shape) -> usize {
        let elements = shape.rows * shape.cols;
        if self.is_i2_s() {
            return elements / 4 + i2_s::TRAILER_BYTES as usize;
        }
        let own = self.0.bytes_needed(shape).map(|bytes| bytes as usize);
        let filled = || shape.rows * shape.cols.div_ceil(self.block()) * self.0.block_bytes;
        own.unwrap_or_else(filled)
    }

    /// Bytes of one stored row, without what follows the last one.
    pub fn row_bytes(self, cols: usize) -> usize {
        if self.is_i2_s() {
            return cols / 4;
        }
        self.bytes(Shape { rows: 1, cols })
    }

    /// Every value, row after row.
    pub fn decode(self, bytes: &[u8], shape: Shape) -> Vec<f32> {
        let mut values = vec![0.0; shape.rows * shape.cols];
        if let Some(flavor) = self.flavor() {
            for (row, out) in values.chunks_exact_mut(shape.cols).enumerate() {
                flavor.decode_row(bytes, &[], shape, row, out);
            }
        } else {
            let stored = Stored::from_vec(shape, bytes.to_vec(), Vec::new());
            for (row, out) in values.chunks_exact_mut(shape.cols).enumerate() {
                (self.0.decode_row)(&stored, row, out);
            }
        }
        values
    }

    /// The bytes of values, row after row, rounded to what the format can say.
    pub fn encode(self, values: &[f32], shape: Shape) -> Vec<u8> {
        self.encode_with(values, shape, &Quantiser::default())
    }

    /// The same, as somebody writes it.
    pub fn encode_with(self, values: &[f32], shape: Shape, quantiser: &Quantiser) -> Vec<u8> {
        match self.0.encode {
            Encode::Rows(encode) => {
                let mut bytes = Vec::with_capacity(self.bytes(shape));
                for row in values.chunks_exact(shape.cols) {
                    encode(row, quantiser, &mut bytes);
                }
                bytes
            }
            Encode::Matrix(encode) => encode(values, shape),
            Encode::Nothing => unreachable!("one tensor is not enough for {self}"),
        }
    }

    /// Whether no reference multiplies it, so that its rows become floats first.
    pub fn is_decoded(self) -> bool {
        matches!(self.0.product, Product::Decoded)
    }

    /// Whether a row need not be whole blocks.
    pub fn fills_up(self) -> bool {
        let flavor = self.flavor();
        matches!(
            flavor,
            Some(Flavor::Qk256 | Flavor::Bitnet32F16 | Flavor::Split32)
        )
    }

    /// Whether it is plain floats.
    pub fn is_float(self) -> bool {
        matches!(self.0.product, Product::Floats(_))
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Format {}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::all().find(|format| format.name() == name);
        known.ok_or_else(|| {
            let names: Vec<_> = Self::all().map(Format::name).collect();
            format!(
                "no format is called {name:?}; there are {}",
                names.join(", ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_named_sized_and_read_back() {
        for format in Format::all() {
            // The tables of TL1 and TL2 are made for a few shapes.
            let (rows, cols) = if format.name().starts_with("tl") {
                (1536, 1536)
            } else {
                (4, 256)
            };
            let shape = Shape { rows, cols };
            let values: Vec<f32> = (0..rows * cols).map(|i| (i % 3) as f32 - 1.0).collect();
            // Two of them have no zero.
            let values: Vec<f32> = if format.fills_up() {
                values
                    .iter()
                    .map(|x| if *x == 0.0 { 2.0 } else { *x })
                    .collect()
            } else {
                values.clone()
            };
            let step = match format.name() {
                "q1_0" => 0.7,                               // a third of the way to one
                "q1_0_negated" => 1.0,                       // it has none
                "q4_k_oxibonsai" | "q5_k_oxibonsai" => 0.07, // as q4_1
                "q2_k" => 0.34,          // four codes from end to end have no middle
                "q3_k" => 0.2,           // likewise, and its scale has six bits
                "q4_0" | "q5_0" => 0.15, // of −1 to 1, one end is beyond the codes
                "q4_1" | "q5_1" => 0.07, // an even number of codes has no middle
                _ => 0.02,
            };
            assert_eq!(format.name().parse(), Ok(format));
            let bytes = format.encode(&values, shape);
            assert_eq!(bytes.len(), format.bytes(shape), "{format}");
            let back = format.decode(&bytes, shape);
            let far = values
                .iter()
                .zip(&back)
                .find(|(x, y)| (*x - *y).abs() > step);
            assert_eq!(far, None, "{format}");
        }
        assert!(
            "q9".parse::<Format>()
                .expect_err("unknown")
                .contains("q8_0")
        );
    }

    #[test]
    fn a_contested_type_id_names_no_format() {
        assert_eq!(Format::of_type(36), None);
        assert_eq!(Format::of_kind(36), Some(Format::I2_S_P128));
        assert_eq!(Format::of_kind(-1), None);
        assert_eq!(Format::of_type(1), Some(Format::F16));
        assert_eq!(Format::of_flavor(Flavor::Split32), None);
        assert_eq!(Format::of_flavor(Flavor::I2sP64), Some(Format::I2_S_P64));
    }
}
