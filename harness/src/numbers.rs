//! Arithmetic about results: how far apart two rows are, how sure a mean is, and the seed.
#![forbid(unsafe_code)]

pub mod gap;
pub mod metrics;
pub mod split_mix;
pub mod statistics;
