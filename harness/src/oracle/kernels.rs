//! Single kernels, asked the same questions on both sides: packing, decoding, quantising
//! activations, multiplying. Every comparison is of bits.
//!
//! A [`Question`](crate::runner::kernels::question::Question) is a call and what it reads, and a
//! [`Computer`](crate::runner::kernels::question::Computer) answers it. A family asks many
//! questions about one kernel, hand-picked ones first, then random ones, all made from a seed.
//! Where the two answers differ, the question is made smaller as long as they still do.
#![forbid(unsafe_code)]

pub mod examine;
pub mod excuse;
mod shrink;
pub mod table;

pub use examine::{Outcome, Row, Scope, examine};
