//! The packings whose codes mean −2, −1, +1 and +2: QK256 without scales, BitNet32-F16 with one
//! inside each block, Split32 with one a block in a sibling tensor.
#![forbid(unsafe_code)]

use super::{Encode, Format, Product};
use crate::flavor::{Flavor, bitnet32_f16, qk256, split32};
use crate::gguf::tensor_type::id;
use crate::kernels::gemm::Stored;

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
    decode_row: |weights, row, out| decode(Flavor::Bitnet32F16, weights, row, out),
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
    decode_row: |weights, row, out| decode(Flavor::Split32, weights, row, out),
    file_type: None,
    encode: Encode::Nothing,
    product: Product::Decoded,
};

fn decode(flavor: Flavor, weights: &Stored, row: usize, out: &mut [f32]) {
    flavor.decode_row(&weights.bytes, &weights.scales, weights.shape, row, out);
}
