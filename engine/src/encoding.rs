//! How weights that are not ternary are written: plain floats, and the block formats.
//!
//! Each file is a layout, a decoder and an encoder. Encoders follow the quantisers of the programs
//! that invented the formats to the byte; see [`author`].
#![forbid(unsafe_code)]

pub mod author;
pub mod blocks_of_32;
mod fit;
pub mod float;
pub mod fp8;
mod groups;
pub mod int8;
pub mod one_bit;
pub mod oxibonsai;
mod planes;
pub mod q2_k;
pub mod q3_k;
pub mod q4_k;
pub mod q6_k;
pub mod q8_0;
pub mod two_bits;

pub use author::{Author, Quantiser};
