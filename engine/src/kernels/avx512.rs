//! The inner loops for x86-64 with AVX-512 and its VNNI extension, and with AMX where it is.

#![allow(unsafe_code)]

mod i2_s;
mod pairs;
mod q8_0;
mod trits;

use super::avx2::Avx2;
use super::gemm::Gemm;
use super::limits::CHAINS;
use super::x86::Products;
use super::x86::amx::Amx;
use super::x86::dot::{self, Dpbusd512};

/// Proof that this CPU has what [`Avx2`] proves and AVX-512 F, BW, DQ, VL and VNNI, and perhaps
/// AMX: it cannot be made where it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx512Vnni {
    /// Whether there are tiles of bytes that this process may use.
    tiles: bool,
}

impl Avx512Vnni {
    /// The proof, if there is one.
    pub fn new() -> Option<Self> {
        let there = Avx2::new().is_some()
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni");
        there.then_some(Avx512Vnni { tiles: false })
    }

    /// The proof that there is AMX-INT8, too, and that the system lets this process use it.
    pub fn with_amx() -> Option<Self> {
        let there = Self::new().is_some() && Amx::new().is_some();
        there.then_some(Avx512Vnni { tiles: true })
    }

    /// Printable name of the kernel.
    pub fn name(self) -> &'static str {
        if self.tiles {
            "x86_64-amx"
        } else {
            "x86_64-avx512vnni"
        }
    }

    /// Multiplies int8 values in registers, as fast as there is an instruction for it; how many
    /// products that were.
    pub(super) fn multiply_registers(self, rounds: u64) -> u64 {
        #[target_feature(enable = "avx512f,avx512vnni")]
        fn compiled(rounds: u64) {
            // SAFETY: this function asks for the instructions.
            unsafe { dot::multiply_registers::<Dpbusd512>(rounds) }
        }
        if let Some(mut amx) = Amx::new().filter(|_| self.tiles) {
            return amx.multiply_registers(rounds);
        }
        // SAFETY: the value proves that the instructions are there.
        unsafe { compiled(rounds) };
        rounds * (CHAINS * 64) as u64
    }

    /// The product of I2_S.
    pub fn i2_s(self) -> &'static dyn Gemm {
        if self.tiles { &i2_s::AMX } else { &i2_s::VNNI }
    }

    /// The products of a format with the same instructions and vectors of 256 bits.
    pub fn narrow(self, products: &Products) -> &'static dyn Gemm {
        products.avx512vl
    }

    /// The product of TQ1_0, in eight lanes.
    pub fn tq1_0(self) -> &'static dyn Gemm {
        &trits::tq1_0::PRODUCT
    }

    /// The product of TQ2_0, in eight lanes.
    pub fn tq2_0(self) -> &'static dyn Gemm {
        &trits::tq2_0::PRODUCT
    }

    /// The product of Q8_0, in eight lanes.
    pub fn q8_0(self) -> &'static dyn Gemm {
        &q8_0::Q8_0
    }
}
