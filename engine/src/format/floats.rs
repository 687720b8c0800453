//! Plain floats: F32, F16 and BF16.
#![forbid(unsafe_code)]

use super::{Encode, Format, Product};
use crate::encoding::float::Float;
use crate::gguf::tensor_type::id;
use crate::kernels::gemm::Stored;

/// Single precision.
pub static F32: Format = Format {
    name: "f32",
    types: &[id::F32],
    dialects: &[],
    block: 1,
    block_bytes: 4,
    flavor: None,
    decode_row: |weights, row, out| decode(Float::F32, weights, row, out),
    file_type: Some(0),
    encode: Encode::Rows(|row, quantiser, out| Float::F32.encode_row(row, quantiser, out)),
    product: Product::Floats(Float::F32),
};

/// IEEE halves.
pub static F16: Format = Format {
    name: "f16",
    types: &[id::F16],
    dialects: &[],
    block: 1,
    block_bytes: 2,
    flavor: None,
    decode_row: |weights, row, out| decode(Float::F16, weights, row, out),
    file_type: Some(1),
    encode: Encode::Rows(|row, quantiser, out| Float::F16.encode_row(row, quantiser, out)),
    product: Product::Floats(Float::F16),
};

/// The upper halves of singles.
pub static BF16: Format = Format {
    name: "bf16",
    types: &[id::BF16],
    dialects: &[],
    block: 1,
    block_bytes: 2,
    flavor: None,
    decode_row: |weights, row, out| decode(Float::Bf16, weights, row, out),
    file_type: Some(32),
    encode: Encode::Rows(|row, quantiser, out| Float::Bf16.encode_row(row, quantiser, out)),
    product: Product::Floats(Float::Bf16),
};

fn decode(float: Float, weights: &Stored, row: usize, out: &mut [f32]) {
    let stride = out.len() * float.element_bytes();
    float.decode(&weights.bytes[row * stride..(row + 1) * stride], out);
}
