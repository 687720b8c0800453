//! The forms activations take before they meet stored rows, as bytes and back.

use engine::format::Product;
use engine::kernels::gemm::Form;
use engine::kernels::q8_0::{self, Q8Block};
use engine::kernels::q8_1::{self, Q8Sum};
use engine::kernels::q8_k::{self, Q8K};
use engine::kernels::{BlockOrder, Kernel, activation, whole_blocks};
use engine::numerics::Arithmetic;
use engine::numerics::elementwise::round_row_f16;

use super::question::Answer;
use crate::file::document::Format;

/// What activations are turned into, as libraries know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activations {
    form: Form,
    /// The type's name, lower case.
    pub name: &'static str,
    /// The type's number in every library that has it.
    pub kind: i32,
    /// Elements and bytes of a block.
    pub block: (usize, usize),
}

/// Bytes of a block of Q8_0: an f16 scale and the values.
const Q8_0_BYTES: usize = 2 + q8_0::BLOCK;
/// Bytes of a block of Q8_1: two f16, the scale and the sum, and the values.
const Q8_1_BYTES: usize = 4 + q8_1::BLOCK;
/// Bytes of a block of Q8_K: a float scale, the values and the sums.
const Q8_K_BYTES: usize = 4 + q8_k::BLOCK + q8_k::BLOCK / 8;

impl Activations {
    /// Floats as they are.
    pub const F32: Self = row(Form::Plain, "f32", 0, (1, 4));
    /// IEEE halves.
    pub const F16: Self = row(Form::F16, "f16", 1, (1, 2));
    /// bfloat16.
    pub const BF16: Self = row(Form::Bf16, "bf16", 30, (1, 2));
    /// Blocks of 32 with a scale each.
    pub const Q8_0: Self = row(Form::Q8_0, "q8_0", 8, (q8_0::BLOCK, Q8_0_BYTES));
    /// Blocks of 32 with a scale and a sum each.
    pub const Q8_1: Self = row(Form::Q8_1, "q8_1", 9, (q8_1::BLOCK, Q8_1_BYTES));
    /// Blocks of 256 with a scale each and the sums of 16 neighbours.
    pub const Q8K: Self = row(Form::Q8K, "q8_k", 15, (q8_k::BLOCK, Q8_K_BYTES));
    /// One int8 each; scale and sum of the row lie elsewhere.
    pub const I8S: Self = row(Form::Int8, "i8_s", 37, (1, 1));

    const ALL: [Self; 7] = [
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::Q8_0,
        Self::Q8_1,
        Self::Q8K,
        Self::I8S,
    ];

    /// What rows of that format meet: floats their own kind, the others what the engine's kernels
    /// read.
    pub fn of(format: Format) -> Self {
        let stored = format.row();
        let gemm = stored.gemm(BlockOrder::EightLanes, Kernel::Scalar);
        let own = match stored.product {
            Product::Decoded => Self::F32.name,
            _ => stored.name,
        };
        let meets = |one: &Self| gemm.map_or(one.name == own, |g| one.form == g.form());
        let met = Self::ALL.into_iter().find(meets);
        met.expect("one of the forms above")
    }

    /// The one with that number.
    pub fn of_kind(kind: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.kind == kind)
    }

    /// Bytes of so many.
    pub fn bytes(self, count: usize) -> usize {
        let (block, bytes) = self.block;
        count / block * bytes
    }

    /// Turns a row into it.
    pub fn quantise(self, row: &[f32], arithmetic: &dyn Arithmetic) -> Answer {
        let mut answer = Answer::default();
        answer.bytes = match self.form {
            Form::Plain => row.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Form::F16 => {
                let mut halves = vec![[0; 2]; row.len()];
                round_row_f16(row, &mut halves);
                halves.concat()
            }
            Form::Bf16 => {
                let mut halves = vec![[0; 2]; row.len()];
                arithmetic.round_bf16(row, &mut halves);
                halves.concat()
            }
            Form::Q8_0 => {
                let mut blocks = Vec::new();
                match arithmetic.block_order() {
                    BlockOrder::EightLanes => q8_0::quantise(row, &mut blocks),
                    BlockOrder::WholeBlocks => whole_blocks::quantise_q8_0(row, &mut blocks),
                }
                blocks.iter().flat_map(write_q8_0).collect()
            }
            Form::Q8_1 => {
                let quantise = match arithmetic.block_order() {
                    BlockOrder::EightLanes => q8_1::quantise_block,
                    BlockOrder::WholeBlocks => q8_1::quantise_whole_block,
                };
                let blocks = row.as_chunks().0.iter();
                blocks
                    .flat_map(|values| write_q8_1(&quantise(values)))
                    .collect()
            }
            Form::Q8K => {
                let mut blocks = Vec::new();
                q8_k::quantise(row, &mut blocks);
                blocks.iter().flat_map(write_q8_k).collect()
            }
            Form::Int8 => {
                let mut codes = vec![0; row.len()];
                let scale = activation::quantise_row(row, &mut codes);
                (answer.values, answer.sum) = (vec![scale.scale], Some(scale.sum));
                codes.into_iter().map(i8::cast_unsigned).collect()
            }
        };
        answer
    }
}

const fn row(form: Form, name: &'static str, kind: i32, block: (usize, usize)) -> Activations {
    Activations {
        form,
        name,
        kind,
        block,
    }
}

fn write_q8_0(block: &Q8Block) -> Vec<u8> {
    // The scale is an f16 that was widened, so nothing is lost.
    let scale = half::f16::from_f32(block.scale).to_le_bytes();
    let values = block.values.map(i8::cast_unsigned);
    [&scale[..], &values].concat()
}

fn write_q8_1(block: &Q8Sum) -> Vec<u8> {
    let [scale, sum] = [block.block.scale, block.sum].map(half::f16::from_f32);
    let values = block.block.values.map(i8::cast_unsigned);
    [&scale.to_le_bytes()[..], &sum.to_le_bytes(), &values].concat()
}

fn write_q8_k(block: &Q8K) -> Vec<u8> {
    let values = block.values.map(i8::cast_unsigned);
    let sums = block.sums.map(i16::to_le_bytes);
    [&block.scale.to_le_bytes()[..], &values, &sums.concat()].concat()
}

/// The blocks of a stored row.
pub fn read_q8_0(bytes: &[u8]) -> Vec<Q8Block> {
    let blocks = bytes.as_chunks::<Q8_0_BYTES>().0.iter();
    blocks
        .map(|block| Q8Block {
            scale: half::f16::from_le_bytes([block[0], block[1]]).to_f32(),
            values: std::array::from_fn(|i| block[2 + i].cast_signed()),
        })
        .collect()
}

/// The blocks of a stored row.
pub fn read_q8_1(bytes: &[u8]) -> Vec<Q8Sum> {
    let half = |bytes: &[u8]| half::f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
    let blocks = bytes.as_chunks::<Q8_1_BYTES>().0.iter();
    blocks
        .map(|block| Q8Sum {
            block: Q8Block {
                scale: half(block),
                values: std::array::from_fn(|i| block[4 + i].cast_signed()),
            },
            sum: half(&block[2..]),
        })
        .collect()
}

/// The blocks of a stored row.
pub fn read_q8_k(bytes: &[u8]) -> Vec<Q8K> {
    let blocks = bytes.as_chunks::<Q8_K_BYTES>().0.iter();
    blocks
        .map(|block| {
            let (scale, rest) = block.split_first_chunk().expect("longer than that");
            let (values, sums) = rest.split_at(q8_k::BLOCK);
            let sums = sums.as_chunks().0;
            let values = std::array::from_fn(|i| values[i].cast_signed());
            Q8K {
                sums: std::array::from_fn(|i| i16::from_le_bytes(sums[i])),
                ..Q8K::new(f32::from_le_bytes(*scale), values)
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::numerics::{Profile, arithmetic};

    #[test]
    fn blocks_are_read_back_as_they_were_written() {
        let row: Vec<f32> = (0..512).map(|i| (i as f32 * 0.7).sin()).collect();
        let (mut small, mut large) = (Vec::new(), Vec::new());
        q8_0::quantise(&row, &mut small);
        q8_k::quantise(&row, &mut large);
        let arithmetic = arithmetic(Profile::default(), Kernel::Scalar);
        for form in Activations::ALL {
            let bytes = form.quantise(&row, arithmetic).bytes;
            assert_eq!(bytes.len(), form.bytes(512), "{}", form.name);
            match form.form {
                Form::Q8_0 => assert_eq!(read_q8_0(&bytes), small),
                Form::Q8K => assert_eq!(read_q8_k(&bytes), large),
                _ => {}
            }
        }
    }
}
