//! The inner loops for x86-64 with AVX2.

#![allow(unsafe_code)]

use super::gemm::Gemm;
use super::x86::dot::{self, Dpbusd, Dpbusd256, Maddubs};
use super::x86::{Products, i2_s};

/// Proof that this CPU has AVX2, FMA and F16C, and what multiplies bytes: it cannot be made where
/// it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx2(Bytes);

/// The instruction that multiplies bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bytes {
    Pairs,
    AvxVnni,
    Avx512Vl,
}

impl Avx2 {
    /// The proof, if there is one.
    pub fn new() -> Option<Self> {
        let there = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        there.then_some(Avx2(Bytes::Pairs))
    }

    /// The proof that there is AVX-VNNI, too.
    pub fn with_vnni() -> Option<Self> {
        let there = Self::new().is_some() && is_x86_feature_detected!("avxvnni");
        there.then_some(Avx2(Bytes::AvxVnni))
    }

    /// The proof that there are the same instructions in the encoding of AVX-512, too.
    pub fn with_avx512vl() -> Option<Self> {
        let there = Self::new().is_some()
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni");
        there.then_some(Avx2(Bytes::Avx512Vl))
    }

    /// Printable name of the kernel.
    pub fn name(self) -> &'static str {
        match self.0 {
            Bytes::Pairs => "x86_64-avx2",
            Bytes::AvxVnni => "x86_64-avxvnni",
            Bytes::Avx512Vl => "x86_64-avx512vl",
        }
    }

    /// Multiplies int8 values in registers, as fast as there is an instruction for it.
    pub(super) fn multiply_registers(self, rounds: u64) {
        #[target_feature(enable = "avx2")]
        fn pairs(rounds: u64) {
            // SAFETY: this function asks for the instructions, as those below do.
            unsafe { dot::multiply_registers::<Maddubs>(rounds) }
        }
        #[target_feature(enable = "avx2,avxvnni")]
        fn avxvnni(rounds: u64) {
            // SAFETY: as above.
            unsafe { dot::multiply_registers::<Dpbusd>(rounds) }
        }
        #[target_feature(enable = "avx2,avx512f,avx512vl,avx512vnni")]
        fn avx512vl(rounds: u64) {
            // SAFETY: as above.
            unsafe { dot::multiply_registers::<Dpbusd256>(rounds) }
        }
        // SAFETY: the value proves that the instructions are there.
        unsafe {
            match self.0 {
                Bytes::Pairs => pairs(rounds),
                Bytes::AvxVnni => avxvnni(rounds),
                Bytes::Avx512Vl => avx512vl(rounds),
            }
        }
    }

    /// The product of I2_S.
    pub fn i2_s(self) -> &'static dyn Gemm {
        self.of(&i2_s::PRODUCTS)
    }

    /// The one of the products of a format that it can compute.
    pub fn of(self, products: &Products) -> &'static dyn Gemm {
        match self.0 {
            Bytes::Pairs => products.pairs,
            Bytes::AvxVnni => products.avxvnni,
            Bytes::Avx512Vl => products.avx512vl,
        }
    }
}
