//! The forms activations take before they meet stored rows, as bytes and back.
#![forbid(unsafe_code)]

use engine::kernels::q8_0::{self, Q8Block};
use engine::kernels::q8_k::{self, Q8K};
use engine::kernels::{BlockOrder, activation, whole_blocks};
use engine::numerics::Arithmetic;
use engine::numerics::elementwise::round_row_f16;

use super::question::Answer;
use crate::file::document::Format;

/// What activations are turned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the formats
pub enum Activations {
    F32,
    F16,
    Bf16,
    Q8_0,
    /// Blocks of 256 with a float scale and the sums of 16 neighbours.
    Q8K,
    /// One int8 each; scale and sum of the row lie elsewhere.
    I8S,
}

impl Activations {
    /// All of them.
    pub const ALL: [Activations; 6] = [
        Activations::F32,
        Activations::F16,
        Activations::Bf16,
        Activations::Q8_0,
        Activations::Q8K,
        Activations::I8S,
    ];

    /// What rows of that format meet.
    pub fn of(format: Format) -> Self {
        match format {
            Format::F32 => Activations::F32,
            Format::F16 => Activations::F16,
            Format::Bf16 => Activations::Bf16,
            Format::Q8_0 => Activations::Q8_0,
            Format::Q6K | Format::Tq1_0 | Format::Tq2_0 => Activations::Q8K,
            Format::I2sP128 | Format::I2sP64 | Format::I2sP4r => Activations::I8S,
        }
    }

    /// Whether they are the very floats, for which libraries have no function.
    pub fn is_float(self) -> bool {
        self == Activations::F32
    }

    /// The one with that number.
    pub fn of_kind(kind: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.kind() == kind)
    }

    /// The type's number in every library that has it.
    pub fn kind(self) -> i32 {
        match self {
            Activations::F32 => Format::F32.kind(),
            Activations::F16 => Format::F16.kind(),
            Activations::Bf16 => Format::Bf16.kind(),
            Activations::Q8_0 => Format::Q8_0.kind(),
            Activations::Q8K => 15,
            Activations::I8S => 37,
        }
    }

    /// The type's name, lower case.
    pub fn name(self) -> &'static str {
        match self {
            Activations::F32 => "f32",
            Activations::F16 => "f16",
            Activations::Bf16 => "bf16",
            Activations::Q8_0 => "q8_0",
            Activations::Q8K => "q8_k",
            Activations::I8S => "i8_s",
        }
    }

    /// Elements and bytes of a block.
    pub fn block(self) -> (usize, usize) {
        match self {
            Activations::F32 => (1, 4),
            Activations::F16 | Activations::Bf16 => (1, 2),
            Activations::Q8_0 => (q8_0::BLOCK, 2 + q8_0::BLOCK),
            Activations::Q8K => (q8_k::BLOCK, 4 + q8_k::BLOCK + q8_k::BLOCK / 8),
            Activations::I8S => (1, 1),
        }
    }

    /// Bytes of so many.
    pub fn bytes(self, count: usize) -> usize {
        let (block, bytes) = self.block();
        count / block * bytes
    }

    /// Turns a row into it.
    pub fn quantise(self, row: &[f32], arithmetic: &dyn Arithmetic) -> Answer {
        let of_bytes = |bytes| Answer {
            bytes,
            ..Answer::default()
        };
        match self {
            Activations::F32 => of_bytes(row.iter().flat_map(|x| x.to_le_bytes()).collect()),
            Activations::F16 | Activations::Bf16 => {
                let mut halves = vec![[0; 2]; row.len()];
                match self {
                    Activations::F16 => round_row_f16(row, &mut halves),
                    _ => arithmetic.round_bf16(row, &mut halves),
                }
                of_bytes(halves.concat())
            }
            Activations::Q8_0 => {
                let mut blocks = Vec::new();
                match arithmetic.block_order() {
                    BlockOrder::EightLanes => q8_0::quantise(row, &mut blocks),
                    BlockOrder::WholeBlocks => whole_blocks::quantise_q8_0(row, &mut blocks),
                }
                of_bytes(blocks.iter().flat_map(write_q8_0).collect())
            }
            Activations::Q8K => {
                let mut blocks = Vec::new();
                q8_k::quantise(row, &mut blocks);
                of_bytes(blocks.iter().flat_map(write_q8_k).collect())
            }
            Activations::I8S => {
                let mut codes = vec![0; row.len()];
                let scale = activation::quantise_row(row, &mut codes);
                Answer {
                    values: vec![scale.scale],
                    bytes: codes.iter().map(|code| code.cast_unsigned()).collect(),
                    sum: Some(scale.sum),
                }
            }
        }
    }
}

fn write_q8_0(block: &Q8Block) -> Vec<u8> {
    // The scale is an f16 that was widened, so nothing is lost.
    let scale = half::f16::from_f32(block.scale).to_le_bytes();
    let values = block.values.map(i8::cast_unsigned);
    [&scale[..], &values].concat()
}

fn write_q8_k(block: &Q8K) -> Vec<u8> {
    let values = block.values.map(i8::cast_unsigned);
    let sums = block.sums.map(i16::to_le_bytes);
    [&block.scale.to_le_bytes()[..], &values, &sums.concat()].concat()
}

/// The blocks of a stored row.
pub fn read_q8_0(bytes: &[u8]) -> Vec<Q8Block> {
    let blocks = bytes.as_chunks::<34>().0.iter();
    blocks
        .map(|block| Q8Block {
            scale: half::f16::from_le_bytes([block[0], block[1]]).to_f32(),
            values: std::array::from_fn(|i| block[2 + i].cast_signed()),
        })
        .collect()
}

/// The blocks of a stored row.
pub fn read_q8_k(bytes: &[u8]) -> Vec<Q8K> {
    let blocks = bytes.as_chunks::<292>().0.iter();
    blocks
        .map(|block| {
            let (scale, rest) = block.split_first_chunk().expect("4 of 292 bytes");
            let (values, sums) = rest.split_at(q8_k::BLOCK);
            let sums = sums.as_chunks().0;
            Q8K {
                scale: f32::from_le_bytes(*scale),
                values: std::array::from_fn(|i| values[i].cast_signed()),
                sums: std::array::from_fn(|i| i16::from_le_bytes(sums[i])),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::kernels::Kernel;
    use engine::numerics::{Profile, arithmetic};

    #[test]
    fn blocks_are_read_back_as_they_were_written() {
        let row: Vec<f32> = (0..512).map(|i| (i as f32 * 0.7).sin()).collect();
        let (mut small, mut large) = (Vec::new(), Vec::new());
        q8_0::quantise(&row, &mut small);
        q8_k::quantise(&row, &mut large);
        let arithmetic = arithmetic(Profile::default(), Kernel::Scalar);
        let bytes = |form: Activations| form.quantise(&row, arithmetic).bytes;
        assert_eq!(read_q8_0(&bytes(Activations::Q8_0)), small);
        assert_eq!(read_q8_k(&bytes(Activations::Q8K)), large);
        for form in Activations::ALL {
            assert_eq!(bytes(form).len(), form.bytes(512), "{}", form.name());
            assert_eq!(Activations::of_kind(form.kind()), Some(form));
        }
    }
}
