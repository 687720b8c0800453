//! Q4_0, Q4_1, Q5_0 and Q5_1.
#![forbid(unsafe_code)]

use super::{Encode, Format, Product, row_of};
use crate::encoding::blocks_of_32::{self as encoding, BLOCK, Layout};
use crate::gguf::tensor_type::id;
use crate::kernels::gemm::{RowByRow, Stored};
use crate::kernels::q8_0::Q8Block;
use crate::kernels::q8_1::Q8Sum;
use crate::kernels::{blocks_of_32 as kernels, whole_blocks};

/// Four bits around zero.
pub static Q4_0: Format = Format {
    name: "q4_0",
    types: &[id::Q4_0],
    dialects: &[],
    block: BLOCK,
    block_bytes: encoding::Q4_0.block_bytes(),
    flavor: None,
    decode_row: |weights, row, out| decode(encoding::Q4_0, weights, row, out),
    file_type: Some(2),
    encode: Encode::Rows(|row, quantiser, out| encoding::Q4_0.encode(row, quantiser, out)),
    product: Product::Kernels {
        choose: either!(&Q4_0_LANES, &Q4_0_WHOLE, small_blocks::Q4_0, quads::Q4_0),
        arrange: |stored| stored,
    },
};

/// Four bits above a minimum.
pub static Q4_1: Format = Format {
    name: "q4_1",
    types: &[id::Q4_1],
    dialects: &[],
    block: BLOCK,
    block_bytes: encoding::Q4_1.block_bytes(),
    flavor: None,
    decode_row: |weights, row, out| decode(encoding::Q4_1, weights, row, out),
    file_type: Some(3),
    encode: Encode::Rows(|row, quantiser, out| encoding::Q4_1.encode(row, quantiser, out)),
    product: Product::Kernels {
        choose: either!(&Q4_1_LANES, &Q4_1_WHOLE, small_blocks::Q4_1, quads::Q4_1),
        arrange: |stored| stored,
    },
};

/// Five bits around zero.
pub static Q5_0: Format = Format {
    name: "q5_0",
    types: &[id::Q5_0],
    dialects: &[],
    block: BLOCK,
    block_bytes: encoding::Q5_0.block_bytes(),
    flavor: None,
    decode_row: |weights, row, out| decode(encoding::Q5_0, weights, row, out),
    file_type: Some(8),
    encode: Encode::Rows(|row, quantiser, out| encoding::Q5_0.encode(row, quantiser, out)),
    product: Product::Kernels {
        choose: either!(&Q5_0_LANES, &Q5_0_WHOLE, small_blocks::Q5_0, quads::Q5_0),
        arrange: |stored| stored,
    },
};

/// Five bits above a minimum.
pub static Q5_1: Format = Format {
    name: "q5_1",
    types: &[id::Q5_1],
    dialects: &[],
    block: BLOCK,
    block_bytes: encoding::Q5_1.block_bytes(),
    flavor: None,
    decode_row: |weights, row, out| decode(encoding::Q5_1, weights, row, out),
    file_type: Some(9),
    encode: Encode::Rows(|row, quantiser, out| encoding::Q5_1.encode(row, quantiser, out)),
    product: Product::Kernels {
        choose: either!(&Q5_1_LANES, &Q5_1_WHOLE, small_blocks::Q5_1, quads::Q5_1),
        arrange: |stored| stored,
    },
};

static Q4_0_LANES: RowByRow<Q8Block> = RowByRow {
    name: "scalar-q4_0",
    dot: |row, activations, _| kernels::around_zero(encoding::Q4_0, row, activations),
};

/// Several tokens are tiles, which have no odd blocks.
static Q4_0_WHOLE: RowByRow<Q8Block> = RowByRow {
    name: "scalar-q4_0-whole_blocks",
    dot: |row, activations, tokens| {
        let in_pairs = tokens < whole_blocks::TILES_FROM;
        kernels::around_zero_whole(encoding::Q4_0, row, activations, in_pairs)
    },
};

static Q4_1_LANES: RowByRow<Q8Sum> = RowByRow {
    name: "scalar-q4_1",
    dot: |row, activations, _| kernels::above_minimum(encoding::Q4_1, row, activations),
};

static Q4_1_WHOLE: RowByRow<Q8Sum> = RowByRow {
    name: "scalar-q4_1-whole_blocks",
    dot: |row, activations, _| kernels::above_minimum_whole(encoding::Q4_1, row, activations),
};

static Q5_0_LANES: RowByRow<Q8Block> = RowByRow {
    name: "scalar-q5_0",
    dot: |row, activations, _| kernels::around_zero(encoding::Q5_0, row, activations),
};

static Q5_0_WHOLE: RowByRow<Q8Block> = RowByRow {
    name: "scalar-q5_0-whole_blocks",
    dot: |row, activations, _| kernels::around_zero_whole(encoding::Q5_0, row, activations, true),
};

static Q5_1_LANES: RowByRow<Q8Sum> = RowByRow {
    name: "scalar-q5_1",
    dot: |row, activations, _| kernels::above_minimum(encoding::Q5_1, row, activations),
};

static Q5_1_WHOLE: RowByRow<Q8Sum> = RowByRow {
    name: "scalar-q5_1-whole_blocks",
    dot: |row, activations, _| kernels::above_minimum_whole(encoding::Q5_1, row, activations),
};

fn decode(layout: Layout, weights: &Stored, row: usize, out: &mut [f32]) {
    layout.decode(row_of(weights, row), out);
}
