//! The inner loops for x86-64 with AVX-512 and its VNNI extension.

#![allow(unsafe_code)]

mod i2_s;
mod panel;

use super::avx2::Avx2;
use super::gemm::Gemm;
use super::qk256;

/// Proof that this CPU has AVX-512 F, BW, DQ, VL and VNNI: it cannot be made where it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx512Vnni {
    avx2: Avx2,
}

impl Avx512Vnni {
    /// The proof, if there is one.
    pub fn new() -> Option<Self> {
        let there = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni");
        Avx2::new()
            .filter(|_| there)
            .map(|avx2| Avx512Vnni { avx2 })
    }

    /// Whoever has AVX-512 has AVX2.
    pub fn avx2(self) -> Avx2 {
        self.avx2
    }

    /// The product of I2_S.
    pub fn i2_s(self) -> &'static dyn Gemm {
        &i2_s::I2_S
    }

    /// The product of QK256.
    pub fn qk256(self) -> &'static dyn Gemm {
        &qk256::avx512::QK256
    }
}
