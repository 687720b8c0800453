//! Which inner loops run: a value that exists only if this CPU can run them.
#![deny(unsafe_code)] // the instruction-set files below allow it

pub mod activation;
#[cfg(target_arch = "x86_64")]
pub mod avx2;
#[cfg(target_arch = "x86_64")]
pub mod avx512;
pub mod blocks_of_32;
pub mod gemm;
pub mod k_quants;
pub mod lanes;
pub mod limits;
#[cfg(target_arch = "aarch64")]
pub mod neon;
pub mod q8_0;
pub mod q8_1;
pub mod q8_k;
pub mod scalar;
pub mod ternary;
pub mod whole_blocks;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

#[cfg(target_arch = "x86_64")]
use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use avx512::Avx512Vnni;
#[cfg(target_arch = "aarch64")]
use neon::Neon;

/// An instruction set the inner loops are written for. Every kernel gives the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Plain Rust, everywhere; the oracle of the others.
    Scalar,
    /// x86-64 with AVX2, and perhaps instructions that multiply more bytes at once.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// x86-64 with AVX-512 and VNNI, and perhaps AMX.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(Avx512Vnni),
    /// aarch64 with instructions that multiply bytes.
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
}

/// How the products of block-quantised rows are added up, which decides their last bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockOrder {
    /// In eight running sums, as x86 builds do: see [`lanes`].
    EightLanes,
    /// The integers of a block first, as aarch64 builds do: see [`whole_blocks`].
    WholeBlocks,
}

impl BlockOrder {
    /// Both of them, in the order of their discriminants.
    pub const ALL: [BlockOrder; 2] = [BlockOrder::EightLanes, BlockOrder::WholeBlocks];
}

impl Kernel {
    /// The names of every kernel there is, whether or not this machine can run it.
    pub const NAMES: [&str; 8] = [
        "scalar",
        "x86_64-avx2",
        "x86_64-avxvnni",
        "x86_64-avx512vl",
        "x86_64-avx512vnni",
        "x86_64-amx",
        "aarch64-dotprod",
        "aarch64-i8mm",
    ];

    /// Every kernel this CPU can run, slowest first.
    pub fn available() -> Vec<Kernel> {
        Self::NAMES
            .iter()
            .filter_map(|name| Self::from_name(name))
            .collect()
    }

    /// The fastest of those that have run on a processor: AMX has met emulated ones only
    /// (`scripts/test-x86.sh`), and is there for who names it.
    pub fn best() -> Kernel {
        let mut ran = Self::available();
        ran.retain(|kernel| kernel.name() != "x86_64-amx");
        ran.pop().expect("the scalar kernel is always there")
    }

    /// The kernel of that name, if it exists and this CPU can run it.
    pub fn from_name(name: &str) -> Option<Kernel> {
        match name {
            "scalar" => Some(Kernel::Scalar),
            #[cfg(target_arch = "x86_64")]
            "x86_64-avx2" => Avx2::new().map(Kernel::Avx2),
            #[cfg(target_arch = "x86_64")]
            "x86_64-avxvnni" => Avx2::with_vnni().map(Kernel::Avx2),
            #[cfg(target_arch = "x86_64")]
            "x86_64-avx512vl" => Avx2::with_avx512vl().map(Kernel::Avx2),
            #[cfg(target_arch = "x86_64")]
            "x86_64-avx512vnni" => Avx512Vnni::new().map(Kernel::Avx512Vnni),
            #[cfg(target_arch = "x86_64")]
            "x86_64-amx" => Avx512Vnni::with_amx().map(Kernel::Avx512Vnni),
            #[cfg(target_arch = "aarch64")]
            "aarch64-dotprod" => Neon::with_dotprod().map(Kernel::Neon),
            #[cfg(target_arch = "aarch64")]
            "aarch64-i8mm" => Neon::with_i8mm().map(Kernel::Neon),
            _ => None,
        }
    }

    /// Printable name, stable, fit for a receipt.
    pub fn name(self) -> &'static str {
        match self {
            Kernel::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(avx2) => avx2.name(),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512Vnni(vnni) => vnni.name(),
            #[cfg(target_arch = "aarch64")]
            Kernel::Neon(neon) => neon.name(),
        }
    }
}
