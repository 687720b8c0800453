//! Single kernels and weights: what is equal, what is excused, and every planted fault caught.
#![cfg(unix)]
#![forbid(unsafe_code)]

mod agreement;
#[path = "../program/built.rs"]
mod built;
#[path = "../program/ends.rs"]
mod ends;
mod faults;
mod live;
mod weights;
