//! Every case through every runner, every pair of observations compared.

pub mod answer;
pub mod campaign;
pub mod examine;
pub mod pending;
pub mod resume;
