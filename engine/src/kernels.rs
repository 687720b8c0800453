//! Which inner loops run: a value that exists only if this CPU can run them.
#![deny(unsafe_code)] // the instruction-set files below allow it

pub mod activation;
#[cfg(target_arch = "x86_64")]
pub mod avx2;
pub mod lanes;
pub mod q8_0;
pub mod q8_k;
pub mod scalar;
pub mod whole_blocks;

use crate::encoding;
use crate::flavor::{tq1_0, tq2_0};
#[cfg(target_arch = "x86_64")]
use avx2::Avx2;
use q8_0::Q8Block;
use q8_k::Q8K;

/// An instruction set the inner loops are written for. Every kernel gives the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Plain Rust, everywhere; the oracle of the others.
    Scalar,
    /// x86-64 with AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
}

/// How the products of block-quantised rows are added up, which decides their last bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockOrder {
    /// In eight running sums, as x86 builds do: what every [`Kernel`] computes.
    EightLanes,
    /// The integers of a block first, as aarch64 builds do: see [`whole_blocks`].
    WholeBlocks,
}

impl Kernel {
    /// The names of every kernel there is, whether or not this machine can run it.
    pub const NAMES: [&str; 2] = ["scalar", "x86_64-avx2"];

    /// Every kernel this CPU can run, slowest first.
    pub fn available() -> Vec<Kernel> {
        Self::NAMES
            .iter()
            .filter_map(|name| Self::from_name(name))
            .collect()
    }

    /// The fastest of them.
    pub fn best() -> Kernel {
        *Self::available()
            .last()
            .expect("the scalar kernel is always there")
    }

    /// The kernel of that name, if it exists and this CPU can run it.
    pub fn from_name(name: &str) -> Option<Kernel> {
        match name {
            "scalar" => Some(Kernel::Scalar),
            #[cfg(target_arch = "x86_64")]
            "x86_64-avx2" => Avx2::new().map(Kernel::Avx2),
            _ => None,
        }
    }

    /// Printable name, stable, fit for a receipt.
    pub fn name(self) -> &'static str {
        match self {
            Kernel::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(_) => "x86_64-avx2",
        }
    }

    /// Sum of code times activation over one row in the I2_S P128 packing, exact.
    pub fn ternary_dot(self, packed: &[u8], activations: &[i8]) -> i32 {
        assert_eq!(
            packed.len() * 4,
            activations.len(),
            "four codes to the byte"
        );
        match self {
            Kernel::Scalar => scalar::ternary_dot(packed, activations),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(avx2) => avx2.ternary_dot(packed, activations),
        }
    }

    /// Dot product of one TQ1_0 row with quantised activations.
    pub fn tq1_0_dot(self, row: &[u8], activations: &[Q8K]) -> f32 {
        assert_blocks(row, tq1_0::BLOCK_BYTES, activations.len());
        match self {
            Kernel::Scalar => scalar::tq1_0_dot(row, activations),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(avx2) => avx2.tq1_0_dot(row, activations),
        }
    }

    /// Dot product of one TQ2_0 row with quantised activations.
    pub fn tq2_0_dot(self, row: &[u8], activations: &[Q8K]) -> f32 {
        assert_blocks(row, tq2_0::BLOCK_BYTES, activations.len());
        match self {
            Kernel::Scalar => scalar::tq2_0_dot(row, activations),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(avx2) => avx2.tq2_0_dot(row, activations),
        }
    }

    /// Dot product of one Q6_K row with quantised activations.
    pub fn q6_k_dot(self, row: &[u8], activations: &[Q8K]) -> f32 {
        assert_blocks(row, encoding::q6_k::BLOCK_BYTES, activations.len());
        match self {
            Kernel::Scalar => scalar::q6_k_dot(row, activations),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(avx2) => avx2.q6_k_dot(row, activations),
        }
    }

    /// Dot product of one Q8_0 row with quantised activations. x86 builds compute single tokens
    /// and batches in different functions, but in the same order.
    pub fn q8_0_dot(self, row: &[u8], activations: &[Q8Block]) -> f32 {
        assert_blocks(row, encoding::q8_0::BLOCK_BYTES, activations.len());
        match self {
            Kernel::Scalar => scalar::q8_0_dot(row, activations),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(avx2) => avx2.q8_0_dot(row, activations),
        }
    }
}

fn assert_blocks(row: &[u8], block_bytes: usize, blocks: usize) {
    assert_eq!(
        row.len(),
        blocks * block_bytes,
        "one activation block a weight block"
    );
}
