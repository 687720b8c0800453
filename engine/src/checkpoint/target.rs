//! The formats a checkpoint is written in: which type of tensor, and from values to bytes.

use crate::encoding::float::Float;
use crate::encoding::{q6_k, q8_0};
use crate::flavor::{Flavor, Shape, i2_s, tq1_0, tq2_0};
use crate::format::Format;

/// One of them.
#[derive(Debug)]
pub struct Target {
    /// What it is called on the command line.
    pub name: &'static str,
    /// The value of `general.file_type` where most weights are written so.
    pub file_type: u32,
    /// The row in the table of formats.
    format: &'static str,
    encoding: Encoding,
}

#[derive(Debug, Clone, Copy)]
enum Encoding {
    Floats(Float),
    /// Blocks that do not know of each other.
    Blocks {
        encode: fn(&[f32], Shape) -> Vec<u8>,
        decode: fn(&[u8], Shape) -> Vec<f32>,
    },
    /// Digits under one scale for the whole tensor, which stands behind them.
    I2s,
}

/// All of them.
pub static TARGETS: [Target; 8] = [
    Target::new("i2_s", "i2_s-p128", 40, Encoding::I2s),
    Target::new("tq1_0", "tq1_0", 36, trits(Flavor::Tq1_0)),
    Target::new("tq2_0", "tq2_0", 37, trits(Flavor::Tq2_0)),
    Target::new("f32", "f32", 0, Encoding::Floats(Float::F32)),
    Target::new("f16", "f16", 1, Encoding::Floats(Float::F16)),
    Target::new("bf16", "bf16", 32, Encoding::Floats(Float::Bf16)),
    Target::new("q8_0", "q8_0", 7, Q8_0),
    Target::new("q6_k", "q6_k", 18, Q6_K),
];

const Q8_0: Encoding = Encoding::Blocks {
    encode: |values, _| q8_0::encode(values),
    decode: |bytes, shape| {
        let mut values = vec![0.0; shape.rows * shape.cols];
        q8_0::decode(bytes, &mut values);
        values
    },
};

const Q6_K: Encoding = Encoding::Blocks {
    encode: |values, _| q6_k::encode(values),
    decode: |bytes, shape| {
        let mut values = vec![0.0; shape.rows * shape.cols];
        q6_k::decode(bytes, &mut values);
        values
    },
};

const fn trits(flavor: Flavor) -> Encoding {
    match flavor {
        Flavor::Tq1_0 => Encoding::Blocks {
            encode: tq1_0::encode,
            decode: |bytes, shape| decode(Flavor::Tq1_0, bytes, shape),
        },
        _ => Encoding::Blocks {
            encode: tq2_0::encode,
            decode: |bytes, shape| decode(Flavor::Tq2_0, bytes, shape),
        },
    }
}

fn decode(flavor: Flavor, bytes: &[u8], shape: Shape) -> Vec<f32> {
    let mut values = vec![0.0; shape.rows * shape.cols];
    for (row, out) in values.chunks_exact_mut(shape.cols).enumerate() {
        flavor.decode_row(bytes, &[], shape, row, out);
    }
    values
}

impl Target {
    const fn new(
        name: &'static str,
        format: &'static str,
        file_type: u32,
        encoding: Encoding,
    ) -> Self {
        Target {
            name,
            file_type,
            format,
            encoding,
        }
    }

    /// The one of that name; the error lists the names there are.
    pub fn named(name: &str) -> Result<&'static Target, String> {
        let known = TARGETS.iter().find(|target| target.name == name);
        known.ok_or_else(|| {
            let names = TARGETS.each_ref().map(|target| target.name).join(", ");
            format!("no type is called {name:?}; there are {names}")
        })
    }

    /// The number of its type in a file.
    pub fn type_id(&self) -> u32 {
        self.format().types[0]
    }

    /// Whether it holds nothing but digits under scales.
    pub fn is_ternary(&self) -> bool {
        self.format().flavor.is_some()
    }

    /// Bytes of a tensor, or `None` where its rows are not whole blocks.
    pub fn bytes(&self, shape: Shape) -> Option<u64> {
        self.format().bytes_needed(shape)
    }

    /// What the length of a row must be a multiple of.
    pub fn block(&self) -> usize {
        match self.encoding {
            Encoding::I2s => 64,
            _ => self.format().block,
        }
    }

    /// The bytes of some rows, whose elements are a multiple of 256: values are `cells` times
    /// `scale`.
    pub fn encode(&self, cells: &[f32], scale: f32, shape: Shape) -> Vec<u8> {
        match self.encoding {
            Encoding::Floats(float) => float.encode(&scaled(cells, scale)),
            Encoding::Blocks { encode, .. } => encode(&scaled(cells, scale), shape),
            Encoding::I2s => {
                let codes: Vec<u8> = cells.iter().map(|digit| (digit + 1.0) as u8).collect();
                let packing = Flavor::I2sP128.i2_s_packing().expect("it is one");
                let mut bytes = i2_s::encode_codes(&codes, scale, shape, packing);
                bytes.truncate(codes.len() / 4);
                bytes
            }
        }
    }

    /// What stands behind the last row.
    pub fn trailer(&self, scale: f32) -> Vec<u8> {
        match self.encoding {
            Encoding::I2s => {
                let mut bytes = scale.to_le_bytes().to_vec();
                bytes.resize(i2_s::TRAILER_BYTES as usize, 0);
                bytes
            }
            _ => Vec::new(),
        }
    }

    /// How many values are not what is written of them, and by how much at most.
    pub fn loss(&self, cells: &[f32], scale: f32, bytes: &[u8], shape: Shape) -> (u64, f32) {
        let read = match self.encoding {
            Encoding::Floats(float) => {
                let mut read = vec![0.0; cells.len()];
                float.decode(bytes, &mut read);
                read
            }
            Encoding::Blocks { decode, .. } => decode(bytes, shape),
            // Digits and scale are written as they are.
            Encoding::I2s => return (0, 0.0),
        };
        let values = scaled(cells, scale);
        let differences = values
            .iter()
            .zip(&read)
            .map(|(value, read)| (value - read).abs());
        differences.fold((0, 0.0), |(count, worst), difference| {
            let more = u64::from(difference > 0.0 || difference.is_nan());
            (count + more, f32::max(worst, difference))
        })
    }

    fn format(&self) -> &'static Format {
        Format::named(self.format).expect("a row of the table")
    }
}

fn scaled(cells: &[f32], scale: f32) -> Vec<f32> {
    cells.iter().map(|cell| cell * scale).collect()
}
