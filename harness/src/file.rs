//! A model file: hashed, opened, edited, written again, and the mistakes it may have.
#![forbid(unsafe_code)]

pub mod check;
pub mod document;
pub mod norm_gate;
pub mod opened;
pub mod provenance;
