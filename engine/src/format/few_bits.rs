//! Q1_0 and Q2_0, which the reference does not multiply: rows are decoded.
#![forbid(unsafe_code)]

use super::{Encode, Format, Product, row_of};
use crate::encoding::{one_bit, two_bits};
use crate::gguf::tensor_type::id;

/// One bit.
pub static Q1_0: Format = Format {
    name: "q1_0",
    types: &[id::Q1_0],
    dialects: &[],
    block: one_bit::BLOCK,
    block_bytes: one_bit::BLOCK_BYTES,
    flavor: None,
    decode_row: |weights, row, out| one_bit::decode(row_of(weights, row), out),
    file_type: Some(40),
    encode: Encode::Rows(one_bit::encode),
    product: Product::Decoded,
};

/// Two bits, neighbours side by side.
pub static Q2_0: Format = Format {
    name: "q2_0",
    types: &[id::Q2_0],
    dialects: &[],
    block: two_bits::Q2_0.block,
    block_bytes: two_bits::Q2_0.block_bytes(),
    flavor: None,
    decode_row: |weights, row, out| two_bits::Q2_0.decode(row_of(weights, row), out),
    file_type: Some(41),
    encode: Encode::Rows(|row, quantiser, out| two_bits::Q2_0.encode(row, quantiser, out)),
    product: Product::Decoded,
};
