//! Single kernels on either side: the same question to the engine and to a reference.
#![forbid(unsafe_code)]

pub mod activations;
pub mod engine;
pub mod family;
pub mod inputs;
#[cfg(unix)]
pub mod live;
pub mod question;
