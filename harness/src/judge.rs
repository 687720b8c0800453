//! Two observations into one answer. Pure: nothing here runs a model or knows who ran it.
#![forbid(unsafe_code)]

pub mod compare;
pub mod documents;
pub mod excuse;
pub mod known_divergences;
pub mod outcome;
pub mod tolerance;
pub mod verdict;
