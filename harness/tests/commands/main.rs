//! The commands as a user meets them: the built program, its output and its exit code.

mod attribute;
#[path = "../program/built.rs"]
mod built;
mod check;
mod eval;
mod fixtures;
mod generate;
mod inspect;
mod program;
mod tiny;
mod tokenize;
mod trace;
