//! The comparison of tokenizers: faults planted on one side, and the program with a real reference.

mod planted;
#[cfg(unix)]
mod program;
mod vocabulary;
