//! The inner loops for aarch64 with instructions that multiply bytes: `sdot`, and `smmla` where
//! there are several tokens.
//!
//! They are written as instructions: the compiler has no stable functions for them yet.

#![allow(unsafe_code)]

mod blocks;
mod i2_s;
mod tiles;

use std::arch::aarch64::*;
use std::arch::asm;
use std::arch::is_aarch64_feature_detected;
use std::hint::black_box;

use super::BlockOrder;
use super::gemm::Gemm;
use super::limits::CHAINS;
use super::q8_k::Q8K;
use blocks::Both;
use tiles::Tiles;

/// Proof that this CPU has NEON and its dot products, and perhaps products of matrices: it cannot
/// be made where it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neon(Bytes);

/// What multiplies bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bytes {
    DotProducts,
    Matrices,
}

impl Neon {
    /// The proof that there are dot products.
    pub fn with_dotprod() -> Option<Self> {
        is_aarch64_feature_detected!("dotprod").then_some(Neon(Bytes::DotProducts))
    }

    /// The proof that there are products of matrices, too.
    pub fn with_i8mm() -> Option<Self> {
        let there = Self::with_dotprod().is_some() && is_aarch64_feature_detected!("i8mm");
        there.then_some(Neon(Bytes::Matrices))
    }

    /// Printable name of the kernel.
    pub fn name(self) -> &'static str {
        match self.0 {
            Bytes::DotProducts => "aarch64-dotprod",
            Bytes::Matrices => "aarch64-i8mm",
        }
    }

    /// Multiplies int8 values in registers, as fast as there is an instruction for it; how many
    /// products that were.
    pub(super) fn multiply_registers(self, rounds: u64) -> u64 {
        // SAFETY: the value proves that the instructions are there.
        unsafe {
            match self.0 {
                Bytes::DotProducts => dot_registers(rounds),
                Bytes::Matrices => multiply_registers(rounds),
            }
        }
        let products = match self.0 {
            Bytes::DotProducts => 16,
            Bytes::Matrices => 32,
        };
        rounds * (CHAINS * products) as u64
    }

    /// The product of I2_S.
    pub fn i2_s(self) -> &'static dyn Gemm {
        match self.0 {
            Bytes::DotProducts => &i2_s::DOT_PRODUCTS,
            Bytes::Matrices => &i2_s::MATRICES,
        }
    }

    /// The product of TQ1_0.
    pub fn tq1_0(self, order: BlockOrder) -> &'static dyn Gemm {
        self.of(order, &blocks::TQ1_0, &tiles::TQ1_0)
    }

    /// The product of TQ2_0.
    pub fn tq2_0(self, order: BlockOrder) -> &'static dyn Gemm {
        self.of(order, &blocks::TQ2_0, &tiles::TQ2_0)
    }

    /// The product of Q6_K.
    pub fn q6_k(self, order: BlockOrder) -> &'static dyn Gemm {
        self.of(order, &blocks::Q6_K, &tiles::Q6_K)
    }

    /// The product of Q8_0. Its lanes are sums of four neighbours in either order, and a product of
    /// matrices adds up eight.
    pub fn q8_0(self, order: BlockOrder) -> &'static dyn Gemm {
        match order {
            BlockOrder::EightLanes => &blocks::Q8_0.lanes,
            BlockOrder::WholeBlocks => &blocks::Q8_0.whole,
        }
    }

    fn of(
        self,
        order: BlockOrder,
        rows: &'static Both<Q8K>,
        tiles: &'static Tiles,
    ) -> &'static dyn Gemm {
        match (order, self.0) {
            (BlockOrder::EightLanes, _) => &rows.lanes,
            (BlockOrder::WholeBlocks, Bytes::DotProducts) => &rows.whole,
            (BlockOrder::WholeBlocks, Bytes::Matrices) => tiles,
        }
    }
}

#[target_feature(enable = "neon,dotprod")]
fn dot_registers(rounds: u64) {
    let value = black_box(vdupq_n_s8(1));
    let mut sums = [vdupq_n_s32(0); CHAINS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = dot(*sum, value, value);
        }
    }
    black_box(sums);
}

#[target_feature(enable = "neon,i8mm")]
fn multiply_registers(rounds: u64) {
    let value = black_box(vdupq_n_s8(1));
    let mut sums = [vdupq_n_s32(0); CHAINS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = two_by_two(*sum, value, value);
        }
    }
    black_box(sums);
}

/// Sums and four products a lane.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn dot(mut sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: the instruction reads and writes these registers alone.
    unsafe {
        asm!(
            "sdot {0:v}.4s, {1:v}.16b, {2:v}.16b",
            inout(vreg) sums, in(vreg) a, in(vreg) b,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}

/// Sums and the products of two rows of eight with two others: each of the first with the first
/// and the second, then of the second.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn two_by_two(mut sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: the instruction reads and writes these registers alone.
    unsafe {
        asm!(
            "smmla {0:v}.4s, {1:v}.16b, {2:v}.16b",
            inout(vreg) sums, in(vreg) a, in(vreg) b,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}

/// 16 signed bytes.
#[inline]
#[target_feature(enable = "neon")]
fn load(bytes: &[i8; 16]) -> int8x16_t {
    // SAFETY: the reference vouches for 16 bytes; no alignment is asked for.
    unsafe { vld1q_s8(bytes.as_ptr()) }
}

/// 16 bytes.
#[inline]
#[target_feature(enable = "neon")]
fn load_codes(bytes: &[u8; 16]) -> uint8x16_t {
    // SAFETY: the reference vouches for 16 bytes; no alignment is asked for.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}

/// The first eight bytes of both side by side, then the others.
#[inline]
#[target_feature(enable = "neon")]
fn halves(a: int8x16_t, b: int8x16_t) -> [int8x16_t; 2] {
    let (a, b) = (vreinterpretq_s64_s8(a), vreinterpretq_s64_s8(b));
    [
        vreinterpretq_s8_s64(vzip1q_s64(a, b)),
        vreinterpretq_s8_s64(vzip2q_s64(a, b)),
    ]
}

/// Its lanes.
#[inline]
#[target_feature(enable = "neon")]
fn four(sums: int32x4_t) -> [i32; 4] {
    let mut four = [0; 4];
    // SAFETY: the array has room for four lanes.
    unsafe { vst1q_s32(four.as_mut_ptr(), sums) };
    four
}
