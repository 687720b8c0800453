//! How the program is run and ends, as in the tests that need no reference.
#![allow(dead_code, unused_imports)] // each binary uses its part of it

#[path = "../it/program/ends.rs"]
pub mod ends;
#[path = "../it/program/processes.rs"]
pub mod processes;
#[path = "../it/program/recorded.rs"]
pub mod recorded;
#[path = "../it/program/run.rs"]
pub mod run;

pub use run::*;
