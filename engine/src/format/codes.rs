//! The packings whose codes mean −2, −1, +1 and +2: QK256 without scales, BitNet32-F16 with one
//! inside each block, Split32 with one a block in a sibling tensor.
#![forbid(unsafe_code)]

use super::{Encode, Format, Product, row_of};
use crate::flavor::{Flavor, bitnet32_f16, qk256, split32};
use crate::gguf::tensor_type::id;

/// No scale.
pub static QK256: Format = Format {
    name: "qk256",
    types: &[id::I2_S, id::I2_S_OR_I32],
    dialects: &[],
    block: qk256::BLOCK,
    block_bytes: qk256::BLOCK_BYTES,
    flavor: Some(Flavor::Qk256),
    decode_row: |weights, row, out| qk256::decode_row(&weights.bytes, weights.shape, row, out),
    file_type: None,
    encode: Encode::Matrix(|values, shape| {
        let codes: Vec<u8> = values.iter().map(|&x| qk256::nearest(x)).collect();
        qk256::encode_codes(&codes, shape)
    }),
    product: Product::Decoded,
};

/// A scale inside each block of 32.
pub static BITNET32_F16: Format = Format {
    name: "bitnet32-f16",
    types: &[id::I2_S, id::I2_S_OR_I32],
    dialects: &[],
    block: bitnet32_f16::BLOCK,
    block_bytes: bitnet32_f16::BLOCK_BYTES,
    flavor: Some(Flavor::Bitnet32F16),
    decode_row: |weights, row, out| {
        let blocks = row_of(weights, row).chunks_exact(bitnet32_f16::BLOCK_BYTES);
        in_blocks(blocks.map(bitnet32_f16::parts), out);
    },
    file_type: None,
    encode: Encode::Matrix(bitnet32_f16::encode),
    product: Product::Decoded,
};

/// Scales in a sibling tensor.
pub static SPLIT32: Format = Format {
    name: "split32",
    types: &[id::I2_S, id::I2_S_OR_I32],
    dialects: &[],
    block: split32::BLOCK,
    block_bytes: split32::BLOCK_BYTES,
    flavor: Some(Flavor::Split32),
    decode_row: |weights, row, out| {
        let codes = row_of(weights, row).chunks_exact(split32::BLOCK_BYTES);
        let scales = &weights.scales[row * codes.len()..];
        in_blocks(codes.zip(scales.iter().copied()), out);
    },
    file_type: None,
    encode: Encode::Nothing,
    product: Product::Decoded,
};

/// Blocks of 32, each the bytes of its codes and a scale.
fn in_blocks<'a>(blocks: impl Iterator<Item = (&'a [u8], f32)>, out: &mut [f32]) {
    for (out, (codes, scale)) in out.chunks_mut(split32::BLOCK).zip(blocks) {
        qk256::decode(codes, out);
        for x in out {
            *x *= scale;
        }
    }
}
