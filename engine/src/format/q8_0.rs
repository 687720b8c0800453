//! Q8_0, which heads and embeddings use.
#![forbid(unsafe_code)]

use super::{Encode, Format, Product, row_of};
use crate::encoding::q8_0;
use crate::gguf::tensor_type::id;
use crate::kernels::gemm::{Gemm, RowByRow};
use crate::kernels::q8_0::Q8Block;
#[cfg(target_arch = "x86_64")]
use crate::kernels::x86;
use crate::kernels::{BlockOrder, Kernel, scalar, whole_blocks};

/// Its row.
pub static FORMAT: Format = Format {
    name: "q8_0",
    types: &[id::Q8_0],
    dialects: &[],
    block: q8_0::BLOCK,
    block_bytes: q8_0::BLOCK_BYTES,
    flavor: None,
    decode_row: |weights, row, out| q8_0::decode(row_of(weights, row), out),
    file_type: Some(7),
    encode: Encode::Rows(q8_0::encode),
    product: Product::Kernels {
        choose,
        arrange: |stored| stored,
    },
};

static LANES: RowByRow<Q8Block> = RowByRow {
    name: "scalar-q8_0",
    dot: |row, activations, _| scalar::q8_0_dot(row, activations),
};

static WHOLE: RowByRow<Q8Block> = RowByRow {
    name: "scalar-q8_0-whole_blocks",
    dot: whole_blocks::q8_0_dot,
};

/// x86 builds compute single tokens and batches in different functions, but in the same order.
fn choose(order: BlockOrder, kernel: Kernel) -> &'static dyn Gemm {
    match (order, kernel) {
        (BlockOrder::EightLanes, Kernel::Scalar) => &LANES,
        #[cfg(target_arch = "x86_64")]
        (BlockOrder::EightLanes, Kernel::Avx2(avx2)) => avx2.of(&x86::small_blocks::Q8_0),
        #[cfg(target_arch = "x86_64")]
        (BlockOrder::EightLanes, Kernel::Avx512Vnni(vnni)) => vnni.q8_0(),
        #[cfg(target_arch = "aarch64")]
        (order, Kernel::Neon(neon)) => neon.q8_0(order),
        #[cfg(target_arch = "x86_64")]
        (BlockOrder::WholeBlocks, Kernel::Avx2(avx2)) => avx2.of(&x86::quads::Q8_0),
        #[cfg(target_arch = "x86_64")]
        (BlockOrder::WholeBlocks, Kernel::Avx512Vnni(vnni)) => vnni.narrow(&x86::quads::Q8_0),
        (BlockOrder::WholeBlocks, Kernel::Scalar) => &WHOLE,
    }
}
