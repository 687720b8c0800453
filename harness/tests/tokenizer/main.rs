//! The comparison of tokenizers: faults planted on one side, and the program with a real reference.

#[cfg(unix)]
#[path = "../program/built.rs"]
mod built;
#[cfg(unix)]
#[path = "../program/ends.rs"]
mod ends;
mod planted;
#[cfg(unix)]
mod program;
mod vocabulary;
