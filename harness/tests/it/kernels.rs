//! Single kernels and weights: what is equal, what is excused, and every planted fault caught.
#![cfg(unix)]
#![forbid(unsafe_code)]

mod agreement;
mod faults;
mod knife_edges;
mod layouts;
mod recalled;
pub mod weights;
