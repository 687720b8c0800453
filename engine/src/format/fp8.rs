//! OxiBonsai's floats of eight bits, which nobody multiplies.
#![forbid(unsafe_code)]

use super::{Encode, Format, Product, row_of};
use crate::encoding::fp8::{BLOCK, BLOCK_BYTES, Fp8};
use crate::gguf::dialect::Dialect;
use crate::gguf::tensor_type::id;

/// Four bits of exponent, three of mantissa.
pub static F8_E4M3: Format = Format {
    name: "f8_e4m3",
    types: &[id::F8_E4M3],
    dialects: Dialect::OXIBONSAI,
    block: BLOCK,
    block_bytes: BLOCK_BYTES,
    flavor: None,
    decode_row: |weights, row, out| Fp8::E4M3.decode(row_of(weights, row), out),
    file_type: None,
    encode: Encode::Rows(|row, quantiser, out| Fp8::E4M3.encode(row, quantiser, out)),
    product: Product::Decoded,
};

/// Five bits of exponent, two of mantissa.
pub static F8_E5M2: Format = Format {
    name: "f8_e5m2",
    types: &[id::F8_E5M2],
    dialects: Dialect::OXIBONSAI,
    block: BLOCK,
    block_bytes: BLOCK_BYTES,
    flavor: None,
    decode_row: |weights, row, out| Fp8::E5M2.decode(row_of(weights, row), out),
    file_type: None,
    encode: Encode::Rows(|row, quantiser, out| Fp8::E5M2.encode(row, quantiser, out)),
    product: Product::Decoded,
};
