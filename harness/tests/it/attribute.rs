//! Modules swapped one at a time: nothing where nothing differs, every planted fault in its own
//! module, and controls that can fail.
#![forbid(unsafe_code)]

mod bench;
mod controls;
mod graphs;
mod planted;
