//! How the elements of a tensor are written, for the formats this program can write as well.

use std::fmt;
use std::str::FromStr;

use engine::encoding::float::Float;
use engine::encoding::{q6_k, q8_0};
use engine::flavor::{Flavor, Shape, i2_s, tq1_0, tq2_0};
use engine::format::Product;

/// How the elements of a tensor are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the formats
pub enum Format {
    F32,
    F16,
    Bf16,
    Q8_0,
    Q6K,
    Tq1_0,
    Tq2_0,
    /// I2_S, 128 elements in 32 bytes.
    I2sP128,
    /// I2_S, 64 elements in 16 bytes.
    I2sP64,
    /// I2_S, four rows in one byte.
    I2sP4r,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 10] = [
        Format::F32,
        Format::F16,
        Format::Bf16,
        Format::Q8_0,
        Format::Q6K,
        Format::Tq1_0,
        Format::Tq2_0,
        Format::I2sP128,
        Format::I2sP64,
        Format::I2sP4r,
    ];

    /// Stable name, the engine's own.
    pub fn name(self) -> &'static str {
        match self {
            Format::F32 => "f32",
            Format::F16 => "f16",
            Format::Bf16 => "bf16",
            Format::Q8_0 => "q8_0",
            Format::Q6K => "q6_k",
            Format::Tq1_0 => "tq1_0",
            Format::Tq2_0 => "tq2_0",
            Format::I2sP128 => "i2_s-p128",
            Format::I2sP64 => "i2_s-p64",
            Format::I2sP4r => "i2_s-p4r",
        }
    }

    /// Its row in the engine's table.
    fn row(self) -> &'static engine::format::Format {
        engine::format::Format::named(self.name()).expect("the engine's own name")
    }

    /// The type id files carry.
    pub fn type_id(self) -> u32 {
        self.row().types[0]
    }

    /// The number of its type in a library that knows I2_S as bitnet.cpp does.
    pub fn kind(self) -> i32 {
        self.type_id() as i32
    }

    /// The format of a type's number in such a library.
    pub fn of_kind(kind: i32) -> Option<Format> {
        let of = |format: &Format| format.kind() == kind && format.packs_as_published();
        Self::ALL.into_iter().find(of)
    }

    /// The name of its type: packings of one type share it.
    pub fn type_name(self) -> &'static str {
        if self.is_i2_s() { "i2_s" } else { self.name() }
    }

    /// Whether this is the packing that a library on x86 means by the type.
    fn packs_as_published(self) -> bool {
        !self.is_i2_s() || self == Format::I2sP128
    }

    /// The format of a type id that means one thing to everybody.
    pub fn of_type(id: u32) -> Option<Format> {
        Self::ALL
            .into_iter()
            .find(|f| !f.is_i2_s() && f.type_id() == id)
    }

    /// The format of a packing, if this program writes it.
    pub fn of_flavor(flavor: Flavor) -> Option<Format> {
        Self::ALL.into_iter().find(|f| f.flavor() == Some(flavor))
    }

    /// The engine's name for a packing of two-bit weights.
    pub fn flavor(self) -> Option<Flavor> {
        self.row().flavor
    }

    /// Where the codes lie, for the packings of I2_S.
    pub fn packing(self) -> Option<i2_s::Packing> {
        self.flavor().and_then(Flavor::i2_s_packing)
    }

    /// Whether products are sums of integers under one scale a row, so that the order of the
    /// columns does not matter to a bit.
    pub fn is_i2_s(self) -> bool {
        matches!(self, Format::I2sP128 | Format::I2sP64 | Format::I2sP4r)
    }

    /// Elements of a row that belong together.
    pub fn block(self) -> usize {
        if self == Format::I2sP4r {
            return 64; // its blocks are columns of four rows
        }
        self.row().block
    }

    /// Bytes of a tensor of that shape, whose rows are whole blocks.
    pub fn bytes(self, shape: Shape) -> usize {
        let elements = shape.rows * shape.cols;
        if self.is_i2_s() {
            return elements / 4 + i2_s::TRAILER_BYTES as usize;
        }
        elements / self.block() * self.row().block_bytes
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
        match (self, self.float(), self.flavor()) {
            (_, Some(float), _) => float.decode(bytes, &mut values),
            (_, _, Some(flavor)) => {
                for (row, out) in values.chunks_exact_mut(shape.cols).enumerate() {
                    flavor.decode_row(bytes, &[], shape, row, out);
                }
            }
            (Format::Q8_0, _, _) => q8_0::decode(bytes, &mut values),
            _ => q6_k::decode(bytes, &mut values),
        }
        values
    }

    /// The bytes of values, row after row, rounded to what the format can say.
    pub fn encode(self, values: &[f32], shape: Shape) -> Vec<u8> {
        match (self, self.float(), self.packing()) {
            (_, Some(float), _) => float.encode(values),
            (_, _, Some(packing)) => {
                let (codes, scale) = i2_s::quantise(values);
                i2_s::encode_codes(&codes, scale, shape, packing)
            }
            (Format::Tq1_0, _, _) => tq1_0::encode(values, shape),
            (Format::Tq2_0, _, _) => tq2_0::encode(values, shape),
            (Format::Q8_0, _, _) => q8_0::encode(values),
            _ => q6_k::encode(values),
        }
    }

    fn float(self) -> Option<Float> {
        match self.row().product {
            Product::Floats(float) => Some(float),
            Product::Kernels { .. } => None,
        }
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
        let known = Self::ALL.into_iter().find(|format| format.name() == name);
        known.ok_or_else(|| {
            let names = Self::ALL.map(Format::name).join(", ");
            format!("no format is called {name:?}; there are {names}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_named_sized_and_read_back() {
        let shape = Shape { rows: 4, cols: 256 };
        let values: Vec<f32> = (0..1024).map(|i| (i % 3) as f32 - 1.0).collect();
        for format in Format::ALL {
            assert_eq!(format.name().parse(), Ok(format));
            let bytes = format.encode(&values, shape);
            assert_eq!(bytes.len(), format.bytes(shape), "{format}");
            let back = format.decode(&bytes, shape);
            let far = values
                .iter()
                .zip(&back)
                .find(|(x, y)| (*x - *y).abs() > 0.02);
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
        assert_eq!(Format::of_kind(36), Some(Format::I2sP128));
        assert_eq!(Format::of_kind(-1), None);
        assert_eq!(Format::of_type(1), Some(Format::F16));
        assert_eq!(Format::of_flavor(Flavor::Qk256), None);
        assert_eq!(Format::of_flavor(Flavor::I2sP64), Some(Format::I2sP64));
    }
}
