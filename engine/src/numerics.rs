//! Named arithmetics: lane counts, reduction trees, FMA places and f16 roundings of every float
//! operation, one file per profile. The transformer does not know which one is in force.
//!
//! A float result depends on the order of its operations, so the order is part of what is
//! computed. [`Profile`] names an order; [`arithmetic`] pairs it with the instructions of this
//! machine, which change the speed and never a bit.
//!
//! `sin`, `cos`, `pow` and the scalar `exp` are glibc's, as in the programs these orders were taken
//! from, and computed here: [`libm`] gives its bits on every platform. Of a C library the results
//! need nothing but what IEEE 754 defines to the bit, such as `sqrt` and `mul_add`, and not even
//! the latter where it is known to round twice.

pub mod coarse;
pub mod dense;
pub mod elementwise;
#[cfg(any(test, all(windows, target_env = "gnu")))]
mod fused;
pub mod ggml_avx2;
pub mod ggml_avx512;
pub mod ggml_avx512_bf16;
pub mod ggml_neon;
pub mod ggml_neon_fp16;
pub mod half;
mod instances;
pub mod lanes;
pub mod libm;
mod oracle_f64;
pub mod rope;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use instances::{Arithmetic, arithmetic};

/// One fixed order of float operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// ggml built for AVX-512: 16 lanes.
    #[default]
    GgmlAvx512,
    /// The same with the BF16 extension: differs for bfloat16 weights alone.
    GgmlAvx512Bf16,
    /// ggml built for AVX2, FMA and F16C: 8 lanes.
    GgmlAvx2,
    /// ggml built for aarch64: 4 lanes.
    GgmlNeon,
    /// ggml built for aarch64 with half-precision arithmetic: 4 lanes, and 8 of halves.
    GgmlNeonFp16,
    /// No build's: every operation in double precision, rounded once.
    OracleF64,
}

impl Profile {
    /// Every profile that some build has.
    pub const ALL: [Profile; 5] = [
        Profile::GgmlAvx512,
        Profile::GgmlAvx512Bf16,
        Profile::GgmlAvx2,
        Profile::GgmlNeon,
        Profile::GgmlNeonFp16,
    ];

    /// Stable name, e.g. `ggml-avx512`.
    pub fn name(self) -> &'static str {
        match self {
            Profile::GgmlAvx512 => "ggml-avx512",
            Profile::GgmlAvx512Bf16 => "ggml-avx512-bf16",
            Profile::GgmlAvx2 => "ggml-avx2",
            Profile::GgmlNeon => "ggml-neon",
            Profile::GgmlNeonFp16 => "ggml-neon-fp16",
            Profile::OracleF64 => "oracle-f64",
        }
    }

    /// Those, and the one that they approximate.
    pub fn named() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().chain([Profile::OracleF64])
    }

    /// The profile of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::named().find(|profile| profile.name() == name)
    }
}
