//! What several topics ask: how the program is run and ends, and what is recorded.

pub mod ends;
pub mod one_case;
pub mod processes;
pub mod recorded;
pub mod run;
pub mod silence;

pub use run::*;
