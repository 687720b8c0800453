//! Q2_K, Q3_K, Q4_K and Q5_K.
#![forbid(unsafe_code)]

use super::{Encode, Format, Product, row_of};
use crate::encoding::{q2_k, q3_k, q4_k};
use crate::gguf::tensor_type::id;
use crate::kernels::gemm::RowByRow;
use crate::kernels::k_quants;
use crate::kernels::q8_k::Q8K;

/// Two bits, sixteen scales and offsets a block.
pub static Q2_K: Format = Format {
    name: "q2_k",
    types: &[id::Q2_K],
    dialects: &[],
    block: q2_k::BLOCK,
    block_bytes: q2_k::BLOCK_BYTES,
    flavor: None,
    decode_row: |weights, row, out| q2_k::decode(row_of(weights, row), out),
    file_type: Some(10),
    encode: Encode::Rows(q2_k::encode),
    product: Product::Kernels {
        choose: either!(
            &Q2_K_LANES,
            &Q2_K_WHOLE,
            k_quants::Q2_K,
            k_quants::Q2_K_WHOLE
        ),
        arrange: |stored| stored,
    },
};

static Q2_K_LANES: RowByRow<Q8K> = RowByRow {
    name: "scalar-q2_k",
    dot: |row, activations, _| k_quants::q2_k_dot(row, activations),
};

static Q2_K_WHOLE: RowByRow<Q8K> = RowByRow {
    name: "scalar-q2_k-whole_blocks",
    dot: |row, activations, _| k_quants::q2_k_dot_whole(row, activations),
};

/// Three bits, sixteen scales a block.
pub static Q3_K: Format = Format {
    name: "q3_k",
    types: &[id::Q3_K],
    dialects: &[],
    block: q3_k::BLOCK,
    block_bytes: q3_k::BLOCK_BYTES,
    flavor: None,
    decode_row: |weights, row, out| q3_k::decode(row_of(weights, row), out),
    file_type: Some(11),
    encode: Encode::Rows(q3_k::encode),
    product: Product::Kernels {
        choose: either!(
            &Q3_K_LANES,
            &Q3_K_WHOLE,
            k_quants::Q3_K,
            k_quants::Q3_K_WHOLE
        ),
        arrange: |stored| stored,
    },
};

static Q3_K_LANES: RowByRow<Q8K> = RowByRow {
    name: "scalar-q3_k",
    dot: |row, activations, _| k_quants::q3_k_dot(row, activations),
};

static Q3_K_WHOLE: RowByRow<Q8K> = RowByRow {
    name: "scalar-q3_k-whole_blocks",
    dot: |row, activations, _| k_quants::q3_k_dot_whole(row, activations),
};

/// Four bits, eight scales and offsets a block.
pub static Q4_K: Format = Format {
    name: "q4_k",
    types: &[id::Q4_K],
    dialects: &[],
    block: q4_k::BLOCK,
    block_bytes: q4_k::Q4_K.block_bytes(),
    flavor: None,
    decode_row: |weights, row, out| q4_k::Q4_K.decode(row_of(weights, row), out),
    file_type: Some(14),
    encode: Encode::Rows(|row, quantiser, out| q4_k::Q4_K.encode(row, quantiser, out)),
    product: Product::Kernels {
        choose: either!(
            &Q4_K_LANES,
            &Q4_K_WHOLE,
            k_quants::Q4_K,
            k_quants::Q4_K_WHOLE
        ),
        arrange: |stored| stored,
    },
};

static Q4_K_LANES: RowByRow<Q8K> = RowByRow {
    name: "scalar-q4_k",
    dot: |row, activations, _| k_quants::q4_k_dot(row, activations),
};

static Q4_K_WHOLE: RowByRow<Q8K> = RowByRow {
    name: "scalar-q4_k-whole_blocks",
    dot: |row, activations, _| k_quants::q4_k_dot_whole(row, activations),
};

/// Five bits, eight scales and offsets a block.
pub static Q5_K: Format = Format {
    name: "q5_k",
    types: &[id::Q5_K],
    dialects: &[],
    block: q4_k::BLOCK,
    block_bytes: q4_k::Q5_K.block_bytes(),
    flavor: None,
    decode_row: |weights, row, out| q4_k::Q5_K.decode(row_of(weights, row), out),
    file_type: Some(16),
    encode: Encode::Rows(|row, quantiser, out| q4_k::Q5_K.encode(row, quantiser, out)),
    product: Product::Kernels {
        choose: either!(
            &Q5_K_LANES,
            &Q5_K_WHOLE,
            k_quants::Q5_K,
            k_quants::Q5_K_WHOLE
        ),
        arrange: |stored| stored,
    },
};

static Q5_K_LANES: RowByRow<Q8K> = RowByRow {
    name: "scalar-q5_k",
    dot: |row, activations, _| k_quants::q5_k_dot(row, activations),
};

static Q5_K_WHOLE: RowByRow<Q8K> = RowByRow {
    name: "scalar-q5_k-whole_blocks",
    dot: |row, activations, _| k_quants::q5_k_dot_whole(row, activations),
};
