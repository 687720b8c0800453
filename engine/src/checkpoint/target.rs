//! The types a checkpoint is written in: rows of the table of formats, and what files call them.

use crate::encoding::Quantiser;
use crate::encoding::author::low_byte;
use crate::flavor::{Flavor, Shape, i2_s, i2_s_p128};
use crate::format::{self, Format};
use crate::kernels::gemm::Stored;

/// One of them.
pub struct Target {
    /// What it is called on the command line.
    pub name: &'static str,
    format: &'static Format,
}

/// All of them.
pub static TARGETS: [Target; 17] = [
    Target::new("i2_s", &format::I2_S_P128),
    Target::new("tq1_0", &format::TQ1_0),
    Target::new("tq2_0", &format::TQ2_0),
    Target::new("tl1", &format::TL1),
    Target::new("tl2", &format::TL2),
    Target::new("f32", &format::F32),
    Target::new("f16", &format::F16),
    Target::new("bf16", &format::BF16),
    Target::new("q8_0", &format::Q8_0),
    Target::new("q6_k", &format::Q6_K),
    Target::new("q5_k", &format::Q5_K),
    Target::new("q5_1", &format::Q5_1),
    Target::new("q5_0", &format::Q5_0),
    Target::new("q4_k", &format::Q4_K),
    Target::new("q4_1", &format::Q4_1),
    Target::new("q4_0", &format::Q4_0),
    Target::new("q3_k", &format::Q3_K),
];

impl Target {
    const fn new(name: &'static str, format: &'static Format) -> Self {
        Target { name, format }
    }

    /// The value of `general.file_type` where most weights are written so.
    pub fn file_type(&self) -> u32 {
        self.format
            .file_type
            .expect("files of every target have one")
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
        self.format.types[0]
    }

    /// Whether it holds nothing but digits under scales.
    pub fn is_ternary(&self) -> bool {
        self.format.flavor.is_some()
    }

    /// Bytes of a tensor, or `None` where its shape is none that can be written so.
    pub fn bytes(&self, shape: Shape) -> Option<u64> {
        self.format.bytes_needed(shape)
    }

    /// What is asked of a shape.
    pub fn rule(&self) -> String {
        let name = self.name;
        match self.format.flavor {
            _ if self.is_whole() => {
                let like = "those of bitnet_b1_58-large and -3B and of Llama3-8B-1.58";
                format!("a shape that {name} has tables for, {like}")
            }
            Some(Flavor::I2sP128) => format!("rows of a multiple of 64 for {name}"),
            _ => format!("rows of a multiple of {} for {name}", self.format.block),
        }
    }

    /// Whether all of a matrix is written at once, its scale with it.
    pub fn is_whole(&self) -> bool {
        matches!(self.format.flavor, Some(Flavor::Tl1 | Flavor::Tl2))
    }

    /// The bytes of some rows, whose elements are a multiple of 256: values are `cells` times
    /// `scale`.
    pub fn encode(&self, cells: &[f32], scale: f32, shape: Shape) -> Vec<u8> {
        if self.is_i2_s() {
            let codes: Vec<u8> = cells.iter().map(|digit| low_byte(digit + 1.0)).collect();
            return i2_s::pack(&codes, shape, i2_s_p128::width);
        }
        let quantiser = Quantiser::default();
        let encoded = self
            .format
            .encode_matrix(&scaled(cells, scale), shape, &quantiser);
        encoded.expect("its rows are whole blocks, and every target is written")
    }

    /// What stands behind the last row.
    pub fn trailer(&self, scale: f32) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.is_i2_s() {
            bytes.extend(scale.to_le_bytes());
            bytes.resize(i2_s::TRAILER_BYTES as usize, 0);
        }
        bytes
    }

    /// How many values are not what is written of them, and by how much at most.
    pub fn loss(&self, cells: &[f32], scale: f32, bytes: &[u8], shape: Shape) -> (u64, f32) {
        // Digits and scale are written as they are.
        if self.is_i2_s() || self.is_whole() {
            return (0, 0.0);
        }
        let stored = Stored::from_vec(shape, bytes.to_vec(), Vec::new());
        let mut read = vec![0.0; shape.cols];
        let (mut changed, mut worst) = (0, 0.0_f32);
        for (row, cells) in cells.chunks_exact(shape.cols).enumerate() {
            (self.format.decode_row)(&stored, row, &mut read);
            for (cell, read) in cells.iter().zip(&read) {
                let off = (cell * scale - read).abs();
                changed += u64::from(off > 0.0);
                worst = worst.max(off);
            }
        }
        (changed, worst)
    }

    fn is_i2_s(&self) -> bool {
        self.format.flavor == Some(Flavor::I2sP128)
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

fn scaled(cells: &[f32], scale: f32) -> Vec<f32> {
    cells.iter().map(|cell| cell * scale).collect()
}
