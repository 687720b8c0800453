//! Arithmetic about results: how far apart two rows are, how sure a mean is; shrinking; the seed.
#![forbid(unsafe_code)]

pub mod coded_row;
pub mod confidence;
pub mod gap;
pub mod metrics;
pub mod residue;
pub mod rows_apart;
pub mod shrink;
pub mod split_mix;
pub mod statistics;
