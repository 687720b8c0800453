//! The packings whose codes mean −2, −1, +1 and +2: QK256 without scales, BitNet32-F16 with one
//! inside each block, Split32 with one a block in a sibling tensor.
#![forbid(unsafe_code)]

use super::{Encode, Format, Product};
use crate::flavor::{Flavor, bitnet32_f16, qk256, split32};
use crate::gguf::tensor_type::id;
use crate::kernels::gemm::{ColumnByColumn, Gemm, Stored};
use crate::kernels::{BlockOrder, Kernel, row_groups};

/// No scale.
pub static QK256: Format = Format {
    name: "qk256",
    types: &[id::I2_S, id::I2_S_OR_I32],
    block: qk256::BLOCK,
    block_bytes: qk256::BLOCK_BYTES,
    flavor: Some(Flavor::Qk256),
    decode_row: |weights, row, out| {
        for (col, out) in out.iter_mut().enumerate() {
            *out = qk256_value(weights, row, col);
        }
    },
    file_type: None,
    encode: Encode::Nothing,
    product: Product::Kernels {
        choose: choose_qk256,
        arrange: row_groups::arrange,
    },
};

/// A scale inside each block of 32.
pub static BITNET32_F16: Format = Format {
    name: "bitnet32-f16",
    types: &[id::I2_S, id::I2_S_OR_I32],
    block: bitnet32_f16::BLOCK,
    block_bytes: bitnet32_f16::BLOCK_BYTES,
    flavor: Some(Flavor::Bitnet32F16),
    decode_row: |weights, row, out| decode(Flavor::Bitnet32F16, weights, row, out),
    file_type: None,
    encode: Encode::Nothing,
    product: Product::Kernels {
        choose: |_, _| &BITNET32_F16_SCALAR,
        arrange: |stored| stored,
    },
};

/// Scales in a sibling tensor.
pub static SPLIT32: Format = Format {
    name: "split32",
    types: &[id::I2_S, id::I2_S_OR_I32],
    block: split32::BLOCK,
    block_bytes: split32::BLOCK_BYTES,
    flavor: Some(Flavor::Split32),
    decode_row: |weights, row, out| decode(Flavor::Split32, weights, row, out),
    file_type: None,
    encode: Encode::Nothing,
    product: Product::Kernels {
        choose: |_, _| &SPLIT32_SCALAR,
        arrange: |stored| stored,
    },
};

/// There is one order of sums.
fn choose_qk256(_: BlockOrder, kernel: Kernel) -> &'static dyn Gemm {
    match kernel {
        Kernel::Scalar => &QK256_SCALAR,
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx2(avx2) => avx2.qk256(),
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx512Vnni(vnni) => vnni.qk256(),
        #[cfg(target_arch = "aarch64")]
        Kernel::Neon(_) => &QK256_SCALAR,
    }
}

static QK256_SCALAR: ColumnByColumn = ColumnByColumn {
    name: "scalar-qk256",
    value: qk256_value,
};

/// Of what was arranged.
fn qk256_value(weights: &Stored, row: usize, col: usize) -> f32 {
    qk256::value_of(row_groups::code(weights, row, col))
}

static BITNET32_F16_SCALAR: ColumnByColumn = ColumnByColumn {
    name: "scalar-bitnet32-f16",
    value: |weights, row, col| bitnet32_f16::value(&weights.bytes, weights.shape, row, col),
};

static SPLIT32_SCALAR: ColumnByColumn = ColumnByColumn {
    name: "scalar-split32",
    value: |weights, row, col| {
        split32::value(&weights.bytes, &weights.scales, weights.shape, row, col)
    },
};

fn decode(flavor: Flavor, weights: &Stored, row: usize, out: &mut [f32]) {
    flavor.decode_row(&weights.bytes, &weights.scales, weights.shape, row, out);
}
