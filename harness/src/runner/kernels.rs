//! Single kernels on either side: the same question to the engine and to a reference.

pub(crate) mod activations;
pub mod engine;
pub mod family;
mod inputs;
pub mod iq2_s;
pub mod live;
pub mod question;
