//! A model file: hashed, opened, edited, written again, its mistakes, and what sets two apart.
#![forbid(unsafe_code)]

pub mod check;
pub mod difference;
pub mod document;
pub mod key;
pub mod norm_gate;
pub mod opened;
pub mod provenance;
pub mod reading;
pub mod release;
pub mod sarif;
