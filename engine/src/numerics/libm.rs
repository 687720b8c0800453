//! `sin`, `cos`, `exp`, `ln` and `pow` of singles with glibc's bits, on every platform.
//!
//! The programs the profiles were taken from leave these to the C library, and C libraries differ.
//! glibc computes them in double precision with short polynomials and rounds once at the end, so
//! its results are the nearest single or, rarely, the one beside it: which one is part of what is
//! computed. Compared with glibc 2.36 on all 2³² arguments, no bit of `sin`, `cos`, `exp` and `ln`
//! differs.
//!
//! On x86-64 glibc picks code with fused multiply-add where the CPU has it, and the recordings were
//! made on such CPUs. Without it 12 results of `sin`, 22 of `cos` and 2 of `exp` are others. They
//! all come from reducing the argument; `reduced` fuses there without the instruction, and the
//! polynomials may then be computed either way. `pow` and `ln` are fused throughout, with
//! `f64::mul_add`, which is slow where it is no instruction: they are called once per model.
//!
//! On aarch64 glibc differs from itself on x86-64 in two results of `exp`: hence [`exp_aarch64`].
#![forbid(unsafe_code)]

mod angle;
mod exponential;
mod logarithm;
mod power;
#[cfg(test)]
mod tables;

pub use angle::{cos, sin};
pub use exponential::{exp, exp_aarch64};
pub use logarithm::ln;
pub use power::pow;

/// A double as the sum of one of 26 bits and one of 27: the product of either with a single is
/// exact.
const fn split(b: f64) -> [f64; 2] {
    let high = f64::from_bits(b.to_bits() >> 27 << 27);
    [high, b - high]
}

/// a · b + c rounded once, for an `a` of at most 24 bits and a `c` that nearly cancels the
/// product. Then only the last addition rounds.
#[inline]
fn reduced(a: f64, [high, low]: [f64; 2], c: f64) -> f64 {
    (a * high + c) + a * low
}
