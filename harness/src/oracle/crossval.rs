//! Every case through every runner, every pair of observations compared.
#![forbid(unsafe_code)]

pub mod campaign;
pub mod examine;
