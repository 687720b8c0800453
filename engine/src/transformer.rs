//! The forward pass: one ubatch of tokens through every layer, in the order of the paper.
#![forbid(unsafe_code)]

pub mod probe;
