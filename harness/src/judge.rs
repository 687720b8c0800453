//! Two observations into one answer. Pure: nothing here runs a model or knows who ran it.
#![forbid(unsafe_code)]

pub mod compare;
pub mod demand;
pub mod detail;
pub mod documents;
pub mod error_ratio;
pub mod excuse;
pub mod known_divergences;
pub mod named_rows;
pub mod outcome;
pub mod own_tolerance;
pub mod tolerance;
pub mod verdict;
