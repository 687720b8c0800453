//! Single kernels, asked the same questions on both sides: packing, decoding, quantising
//! activations, multiplying. Every comparison is of bits.
//!
//! A [`Question`] is a call and what it reads, an [`Answer`] what came out; whoever answers is a
//! [`Computer`]. A family asks many questions about one kernel, hand-picked ones first, then
//! random ones, all made from a seed. Where the two answers differ, the question is made smaller
//! as long as they still do.
#![forbid(unsafe_code)]

pub mod activations;
pub mod examine;
pub mod excuse;
pub mod family;
mod inputs;
pub mod ours;
pub mod question;
mod shrink;
pub mod table;
#[cfg(unix)]
pub mod theirs;

pub use examine::{Outcome, Row, Scope, examine};
pub use family::Family;
pub use ours::Ours;
pub use question::{Answer, Computer, Question};
