//! The commands as a user meets them: the built program, its output and its exit code.

mod attribute;
mod check;
mod compare;
mod doctor;
mod eval;
mod export;
mod fixtures;
mod generate;
mod inspect;
mod parity;
mod perplexity;
pub mod tiny;
mod tokenize;
mod trace;
