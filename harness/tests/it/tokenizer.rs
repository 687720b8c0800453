//! The comparison of tokenizers: faults planted on one side, and the program with a real reference.

#[cfg(unix)]
mod live;
mod planted;
mod vocabulary;
