//! The ways in which an engine can be caught, one folder each, named as on the command line.
//!
//! No oracle imports another, except `power`, which measures what the others notice.
#![forbid(unsafe_code)]

pub mod attribute;
pub mod bisect;
pub mod calibrate;
pub mod convert;
pub mod crossval;
pub mod importance;
pub mod kernels;
pub mod metamorphic;
pub mod perplexity;
pub mod power;
pub mod shapes;
pub mod subject;
pub mod tokenizer;
pub mod trace;
pub mod transcript;
pub mod verify;
pub mod weights;
pub mod word_order;
