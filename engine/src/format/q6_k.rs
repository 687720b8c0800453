//! Q6_K, which heads and embeddings use.
#![forbid(unsafe_code)]

use super::{Encode, Format, Product, row_of};
use crate::encoding::q6_k;
use crate::gguf::tensor_type::id;
use crate::kernels::gemm::{Gemm, RowByRow};
use crate::kernels::q8_k::Q8K;
#[cfg(target_arch = "x86_64")]
use crate::kernels::x86;
use crate::kernels::{BlockOrder, Kernel, scalar, whole_blocks};

/// Its row.
pub static FORMAT: Format = Format {
    name: "q6_k",
    types: &[id::Q6_K],
    dialects: &[],
    block: q6_k::BLOCK,
    block_bytes: q6_k::BLOCK_BYTES,
    flavor: None,
    decode_row: |weights, row, out| q6_k::decode(row_of(weights, row), out),
    file_type: Some(18),
    encode: Encode::Rows(q6_k::encode),
    product: Product::Kernels {
        choose,
        arrange: |stored| stored,
    },
};

static LANES: RowByRow<Q8K> = RowByRow {
    name: "scalar-q6_k",
    dot: |row, activations, _| scalar::q6_k_dot(row, activations),
};

static WHOLE: RowByRow<Q8K> = RowByRow {
    name: "scalar-q6_k-whole_blocks",
    dot: |row, activations, _| whole_blocks::q6_k_dot(row, activations),
};

fn choose(order: BlockOrder, kernel: Kernel) -> &'static dyn Gemm {
    match (order, kernel) {
        (BlockOrder::EightLanes, Kernel::Scalar) => &LANES,
        #[cfg(target_arch = "x86_64")]
        (BlockOrder::EightLanes, Kernel::Avx2(avx2)) => avx2.of(&x86::k_quants::Q6_K),
        #[cfg(target_arch = "x86_64")]
        (BlockOrder::EightLanes, Kernel::Avx512Vnni(vnni)) => vnni.narrow(&x86::k_quants::Q6_K),
        #[cfg(target_arch = "aarch64")]
        (order, Kernel::Neon(neon)) => neon.q6_k(order),
        #[cfg(target_arch = "x86_64")]
        (BlockOrder::WholeBlocks, Kernel::Avx2(avx2)) => avx2.of(&x86::k_quants::Q6_K_WHOLE),
        #[cfg(target_arch = "x86_64")]
        (BlockOrder::WholeBlocks, Kernel::Avx512Vnni(vnni)) => {
            vnni.narrow(&x86::k_quants::Q6_K_WHOLE)
        }
        (BlockOrder::WholeBlocks, Kernel::Scalar) => &WHOLE,
    }
}
