//! TQ1_0 and TQ2_0: ternary weights in blocks of 256 with a scale each.
#![forbid(unsafe_code)]

use super::{Encode, Format, Product};
use crate::flavor::{Flavor, tq1_0, tq2_0};
use crate::gguf::tensor_type::id;
use crate::kernels::gemm::{Gemm, RowByRow, Stored};
use crate::kernels::q8_k::Q8K;
#[cfg(target_arch = "x86_64")]
use crate::kernels::x86;
use crate::kernels::{BlockOrder, Kernel, scalar, whole_blocks};

/// Five trits a byte.
pub static TQ1_0: Format = Format {
    name: "tq1_0",
    types: &[id::TQ1_0],
    dialects: &[],
    block: tq1_0::BLOCK,
    block_bytes: tq1_0::BLOCK_BYTES,
    flavor: Some(Flavor::Tq1_0),
    decode_row: |weights, row, out| decode(Flavor::Tq1_0, weights, row, out),
    file_type: Some(36),
    encode: Encode::Rows(tq1_0::encode),
    product: Product::Kernels {
        choose: choose_tq1_0,
        arrange: |stored| stored,
    },
};

/// Two bits a trit.
pub static TQ2_0: Format = Format {
    name: "tq2_0",
    types: &[id::TQ2_0],
    dialects: &[],
    block: tq2_0::BLOCK,
    block_bytes: tq2_0::BLOCK_BYTES,
    flavor: Some(Flavor::Tq2_0),
    decode_row: |weights, row, out| decode(Flavor::Tq2_0, weights, row, out),
    file_type: Some(37),
    encode: Encode::Rows(tq2_0::encode),
    product: Product::Kernels {
        choose: choose_tq2_0,
        arrange: |stored| stored,
    },
};

static TQ1_0_LANES: RowByRow<Q8K> = RowByRow {
    name: "scalar-tq1_0",
    dot: |row, activations, _| scalar::tq1_0_dot(row, activations),
};

static TQ1_0_WHOLE: RowByRow<Q8K> = RowByRow {
    name: "scalar-tq1_0-whole_blocks",
    dot: |row, activations, _| whole_blocks::tq1_0_dot(row, activations),
};

static TQ2_0_LANES: RowByRow<Q8K> = RowByRow {
    name: "scalar-tq2_0",
    dot: |row, activations, _| scalar::tq2_0_dot(row, activations),
};

static TQ2_0_WHOLE: RowByRow<Q8K> = RowByRow {
    name: "scalar-tq2_0-whole_blocks",
    dot: |row, activations, _| whole_blocks::tq2_0_dot(row, activations),
};

fn choose_tq1_0(order: BlockOrder, kernel: Kernel) -> &'static dyn Gemm {
    match (order, kernel) {
        (BlockOrder::EightLanes, Kernel::Scalar) => &TQ1_0_LANES,
        #[cfg(target_arch = "x86_64")]
        (BlockOrder::EightLanes, Kernel::Avx2(avx2)) => avx2.of(&x86::trits::TQ1_0),
        #[cfg(target_arch = "x86_64")]
        (BlockOrder::EightLanes, Kernel::Avx512Vnni(vnni)) => vnni.tq1_0(),
        #[cfg(target_arch = "aarch64")]
        (order, Kernel::Neon(neon)) => neon.tq1_0(order),
        #[cfg(target_arch = "x86_64")]
        (BlockOrder::WholeBlocks, Kernel::Avx2(avx2)) => avx2.of(&x86::trits::TQ1_0_WHOLE),
        #[cfg(target_arch = "x86_64")]
        (BlockOrder::WholeBlocks, Kernel::Avx512Vnni(vnni)) => {
            vnni.narrow(&x86::trits::TQ1_0_WHOLE)
        }
        (BlockOrder::WholeBlocks, Kernel::Scalar) => &TQ1_0_WHOLE,
    }
}

fn choose_tq2_0(order: BlockOrder, kernel: Kernel) -> &'static dyn Gemm {
    match (order, kernel) {
        (BlockOrder::EightLanes, Kernel::Scalar) => &TQ2_0_LANES,
        #[cfg(target_arch = "x86_64")]
        (BlockOrder::EightLanes, Kernel::Avx2(avx2)) => avx2.of(&x86::trits::TQ2_0),
        #[cfg(target_arch = "x86_64")]
        (BlockOrder::EightLanes, Kernel::Avx512Vnni(vnni)) => vnni.tq2_0(),
        #[cfg(target_arch = "aarch64")]
        (order, Kernel::Neon(neon)) => neon.tq2_0(order),
        #[cfg(target_arch = "x86_64")]
        (BlockOrder::WholeBlocks, Kernel::Avx2(avx2)) => avx2.of(&x86::trits::TQ2_0_WHOLE),
        #[cfg(target_arch = "x86_64")]
        (BlockOrder::WholeBlocks, Kernel::Avx512Vnni(vnni)) => {
            vnni.narrow(&x86::trits::TQ2_0_WHOLE)
        }
        (BlockOrder::WholeBlocks, Kernel::Scalar) => &TQ2_0_WHOLE,
    }
}

fn decode(flavor: Flavor, weights: &Stored, row: usize, out: &mut [f32]) {
    flavor.decode_row(&weights.bytes, &weights.scales, weights.shape, row, out);
}
