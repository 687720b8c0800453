//! The packings a matrix can be multiplied in, each with a way to write it into a file.

use engine::bytes::ModelBytes;
use engine::encoding::float::Float;
use engine::flavor::{self, Flavor, Shape};
use engine::format::Format;
use engine::gguf::{Gguf, writer::Writer};
use engine::kernels::Kernel;
use engine::matrix::Matrix;

use crate::kernels::input::Weights;
use crate::model::random::encoded;

/// One way to write a matrix.
pub struct Packing {
    pub name: &'static str,
    type_id: u32,
    /// What to ask for where the bytes leave a choice.
    forced: Option<Flavor>,
    pub encode: fn(&Weights) -> Vec<u8>,
    /// Whether a matrix of that shape can be written so.
    pub holds: fn(Shape) -> bool,
}

pub const PACKINGS: [Packing; 20] = [
    Packing {
        name: "i2_s-p128",
        type_id: 36,
        forced: Some(Flavor::I2sP128),
        encode: |w| flavor::i2_s::encode(&w.ternary, w.shape, flavor::i2_s_p128::width),
        holds: |shape| Flavor::I2sP128.bytes_needed(shape).is_some(),
    },
    Packing {
        name: "i2_s-p64",
        type_id: 36,
        forced: Some(Flavor::I2sP64),
        encode: |w| flavor::i2_s::encode(&w.ternary, w.shape, flavor::i2_s_p64::width),
        holds: |shape| Flavor::I2sP64.bytes_needed(shape).is_some(),
    },
    Packing {
        name: "i2_s-p4r",
        type_id: 36,
        forced: Some(Flavor::I2sP4r),
        encode: |w| flavor::i2_s::encode(&w.ternary, w.shape, flavor::i2_s_p4r::width),
        holds: |shape| Flavor::I2sP4r.bytes_needed(shape).is_some(),
    },
    Packing {
        name: "qk256",
        type_id: 36,
        forced: Some(Flavor::Qk256),
        encode: |w| flavor::qk256::encode_codes(&w.codes, w.shape),
        holds: |_| true,
    },
    Packing {
        name: "bitnet32-f16",
        type_id: 36,
        forced: Some(Flavor::Bitnet32F16),
        encode: |w| flavor::bitnet32_f16::encode_codes(&w.codes, &w.scales, w.shape),
        holds: |_| true,
    },
    Packing {
        name: "split32",
        type_id: 36,
        forced: Some(Flavor::Split32),
        encode: |w| flavor::split32::encode_codes(&w.codes, w.shape),
        holds: |_| true,
    },
    Packing {
        encode: |w| encoded("tq1_0", &w.ternary, w.shape),
        ..blocks("tq1_0", 34, |shape| shape.cols.is_multiple_of(256))
    },
    Packing {
        encode: |w| encoded("tq2_0", &w.ternary, w.shape),
        ..blocks("tq2_0", 35, |shape| shape.cols.is_multiple_of(256))
    },
    Packing {
        encode: |w| encoded("q4_0", &w.floats, w.shape),
        ..blocks("q4_0", 2, |shape| shape.cols.is_multiple_of(32))
    },
    Packing {
        encode: |w| encoded("q4_1", &w.floats, w.shape),
        ..blocks("q4_1", 3, |shape| shape.cols.is_multiple_of(32))
    },
    Packing {
        encode: |w| encoded("q5_0", &w.floats, w.shape),
        ..blocks("q5_0", 6, |shape| shape.cols.is_multiple_of(32))
    },
    Packing {
        encode: |w| encoded("q5_1", &w.floats, w.shape),
        ..blocks("q5_1", 7, |shape| shape.cols.is_multiple_of(32))
    },
    Packing {
        encode: |w| encoded("q8_0", &w.floats, w.shape),
        ..blocks("q8_0", 8, |shape| shape.cols.is_multiple_of(32))
    },
    Packing {
        encode: |w| encoded("q2_k", &w.floats, w.shape),
        ..blocks("q2_k", 10, |shape| shape.cols.is_multiple_of(256))
    },
    Packing {
        encode: |w| encoded("q3_k", &w.floats, w.shape),
        ..blocks("q3_k", 11, |shape| shape.cols.is_multiple_of(256))
    },
    Packing {
        encode: |w| encoded("q4_k", &w.floats, w.shape),
        ..blocks("q4_k", 12, |shape| shape.cols.is_multiple_of(256))
    },
    Packing {
        encode: |w| encoded("q5_k", &w.floats, w.shape),
        ..blocks("q5_k", 13, |shape| shape.cols.is_multiple_of(256))
    },
    Packing {
        encode: |w| encoded("q6_k", &w.floats, w.shape),
        ..blocks("q6_k", 14, |shape| shape.cols.is_multiple_of(256))
    },
    Packing {
        encode: |w| encoded("q1_0", &w.floats, w.shape),
        ..blocks("q1_0", 41, |shape| shape.cols.is_multiple_of(128))
    },
    Packing {
        encode: |w| encoded("q2_0", &w.floats, w.shape),
        ..blocks("q2_0", 42, |shape| shape.cols.is_multiple_of(64))
    },
];

/// A format whose rows are whole blocks.
const fn blocks(name: &'static str, type_id: u32, holds: fn(Shape) -> bool) -> Packing {
    Packing {
        name,
        type_id,
        forced: None,
        encode: |_| Vec::new(),
        holds,
    }
}

impl Packing {
    /// Writes a file with the matrix in it and takes it back out.
    pub fn load(&self, weights: &Weights, bytes: &[u8], kernel: Kernel) -> Matrix {
        let Shape { rows, cols } = weights.shape;
        let mut file = Writer::new(3).tensor(
            "blk.0.attn_q.weight",
            &[cols as u64, rows as u64],
            self.type_id,
            bytes.to_vec(),
        );
        if self.name == "split32" {
            let scales = Float::F16.encode(&weights.scales);
            file = file.tensor(
                "blk.0.attn_q.scale",
                &[weights.scales.len() as u64],
                1,
                scales,
            );
        }
        let file = ModelBytes::from_vec(file.finish());
        let gguf = Gguf::parse(file).expect("a file just written");
        let tensor = gguf
            .tensors
            .get("blk.0.attn_q.weight")
            .expect("just written");
        let matrix = Matrix::from_tensor(&gguf, tensor, self.forced, kernel);
        let matrix =
            matrix.unwrap_or_else(|refusal| panic!("{} {rows}×{cols}: {refusal}", self.name));
        assert_eq!(matrix.encoding(), self.name);
        matrix
    }

    /// Another byte of codes, so that a legal byte stays legal.
    pub fn flip(&self, byte: u8) -> u8 {
        match self.name {
            // Codes 0 and 1 change places, 2 becomes 0: never a 3.
            "i2_s-p128" | "i2_s-p64" | "i2_s-p4r" | "tq2_0" if byte & 3 == 2 => byte ^ 2,
            // Half of 256 away: another first trit.
            "tq1_0" => byte ^ 0x80,
            _ => byte ^ 1,
        }
    }

    /// Whether that byte of the matrix holds codes and nothing else.
    pub fn holds_codes(&self, at: usize) -> bool {
        match self.name {
            "bitnet32-f16" => at % 10 < 8,
            "q4_0" | "q5_0" | "q8_0" | "q1_0" | "q2_0" => at % block_bytes(self.name) >= 2,
            "q4_1" | "q5_1" => at % block_bytes(self.name) >= 4,
            "q4_k" | "q5_k" => at % block_bytes(self.name) >= 16,
            "q2_k" => (16..80).contains(&(at % 84)),
            "q3_k" => at % 110 < 96,
            _ => true,
        }
    }
}

fn block_bytes(format: &str) -> usize {
    Format::named(format).expect("a format").block_bytes
}
