//! The malformed files, by what is wrong with them.

pub mod alignment;
pub mod binding;
pub mod counts;
pub mod dialects;
pub mod hyper_parameters;
pub mod strings;
pub mod tensors;
pub mod values;
pub mod vocabularies;
