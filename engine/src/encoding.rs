//! How weights that are not ternary are written: plain floats, and the two block formats that
//! heads and embeddings use.
#![forbid(unsafe_code)]

pub mod float;
pub mod q6_k;
pub mod q8_0;
