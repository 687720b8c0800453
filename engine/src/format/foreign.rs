//! What only one dialect writes, under numbers that others use as well: OxiBonsai's and PrismML's.
//! Nobody else multiplies it, so rows are decoded.
#![forbid(unsafe_code)]

use super::{Encode, Format, Product, row_of};
use crate::encoding::{int8, one_bit, oxibonsai, two_bits};
use crate::flavor::ptq1_0;
use crate::gguf::dialect::Dialect;
use crate::gguf::tensor_type::id;
use crate::kernels::gemm::Stored;

const OXI: &[Dialect] = Dialect::OXIBONSAI;
const OXI_01: &[Dialect] = &[Dialect::OxiBonsai01];
const PRISM: &[Dialect] = &[Dialect::PrismMl];

const fn row(
    name: &'static str,
    (types, dialects): (&'static [u32], &'static [Dialect]),
    [block, block_bytes]: [usize; 2],
    decode_row: fn(&Stored, usize, &mut [f32]),
    encode: Encode,
) -> Format {
    Format {
        name,
        types,
        dialects,
        block,
        block_bytes,
        flavor: None,
        decode_row,
        file_type: None,
        encode,
        product: Product::Decoded,
    }
}

/// Ternary, 128 to a scale that is behind them.
pub static TQ2_0_G128: Format = row(
    "tq2_0_g128",
    (&[id::Q2_0], OXI),
    [128, two_bits::TQ2_0_G128.block_bytes()],
    |weights, row, out| two_bits::TQ2_0_G128.decode(row_of(weights, row), out),
    Encode::Rows(|row, quantiser, out| two_bits::TQ2_0_G128.encode(row, quantiser, out)),
);

/// The same with the scale in front.
pub static PQ2_0: Format = row(
    "pq2_0",
    (&[id::PQ2_0, id::Q2_0], PRISM),
    [128, two_bits::PQ2_0.block_bytes()],
    |weights, row, out| two_bits::PQ2_0.decode(row_of(weights, row), out),
    Encode::Rows(|row, quantiser, out| two_bits::PQ2_0.encode(row, quantiser, out)),
);

/// Five trits a byte.
pub static PTQ1_0: Format = row(
    "ptq1_0",
    (&[id::PTQ1_0], PRISM),
    [ptq1_0::BLOCK, ptq1_0::BLOCK_BYTES],
    |weights, row, out| ptq1_0::decode(row_of(weights, row), out),
    Encode::Rows(ptq1_0::encode),
);

/// Bytes under a scale a row.
pub static INT8: Format = row(
    "int8_per_channel",
    (&[id::I8], OXI_01),
    [1, 1],
    |weights, row, out| int8::decode_row(&weights.bytes, weights.shape.rows, row, out),
    Encode::Matrix(|values, shape| int8::encode(values, shape.cols)),
);

/// One bit, a set one for minus.
pub static Q1_0_NEGATED: Format = row(
    "q1_0_negated",
    (&[id::Q1_0], OXI_01),
    [one_bit::BLOCK, one_bit::BLOCK_BYTES],
    |weights, row, out| one_bit::decode_negated(row_of(weights, row), out),
    Encode::Rows(one_bit::encode_negated),
);

/// Four bits, neighbours in a byte.
pub static Q4_0_PAIRS: Format = row(
    "q4_0_pairs",
    (&[id::Q4_0], OXI_01),
    [oxibonsai::q4_0::BLOCK, oxibonsai::q4_0::BLOCK_BYTES],
    |weights, row, out| oxibonsai::q4_0::decode(row_of(weights, row), out),
    Encode::Rows(oxibonsai::q4_0::encode),
);

/// Four bits above a minimum.
pub static Q4_K: Format = row(
    "q4_k_oxibonsai",
    (&[id::Q4_K], OXI),
    [oxibonsai::BLOCK, oxibonsai::Q4_K.block_bytes()],
    |weights, row, out| oxibonsai::Q4_K.decode(row_of(weights, row), out),
    Encode::Rows(|row, quantiser, out| oxibonsai::Q4_K.encode(row, quantiser, out)),
);

/// Five bits above a minimum.
pub static Q5_K: Format = row(
    "q5_k_oxibonsai",
    (&[id::Q5_K], OXI),
    [oxibonsai::BLOCK, oxibonsai::Q5_K.block_bytes()],
    |weights, row, out| oxibonsai::Q5_K.decode(row_of(weights, row), out),
    Encode::Rows(|row, quantiser, out| oxibonsai::Q5_K.encode(row, quantiser, out)),
);

/// Six bits.
pub static Q6_K: Format = row(
    "q6_k_oxibonsai",
    (&[id::Q6_K], OXI),
    [oxibonsai::BLOCK, oxibonsai::q6_k::BLOCK_BYTES],
    |weights, row, out| oxibonsai::q6_k::decode(row_of(weights, row), out),
    Encode::Rows(oxibonsai::q6_k::encode),
);
