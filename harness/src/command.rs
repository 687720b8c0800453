//! One file per command: its flags, its help, and a `run` that reads like a sentence.
#![forbid(unsafe_code)]

pub mod accept;
pub mod answers;
#[cfg(unix)]
pub mod attribute;
#[cfg(unix)]
pub mod bench;
#[cfg(unix)]
pub mod bisect;
pub mod brought;
pub mod calibrate;
pub mod chat;
pub mod check;
pub mod cli;
pub mod compare;
pub mod completions;
pub mod convert;
pub mod crossval;
pub mod doctor;
pub mod eval;
pub mod explain;
pub mod export;
pub mod fetch;
pub mod finish;
pub mod fixtures;
pub mod flags;
pub mod formats;
pub mod generate;
pub mod inspect;
pub mod kernels;
pub mod man;
pub mod metamorphic;
#[cfg(unix)]
pub mod own_tolerances;
pub mod perplexity;
pub mod power;
pub mod project;
pub mod receipt;
pub mod reference;
pub mod review;
pub mod selection;
pub mod shapes;
#[cfg(unix)]
pub mod subject;
pub mod tokenize;
pub mod tokenizer;
pub mod trace;
pub mod weights;
#[cfg(unix)]
pub mod worker;
