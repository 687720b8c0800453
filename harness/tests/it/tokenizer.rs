//! The comparison of tokenizers: faults planted on one side, and the program with a real reference.

mod planted;
mod vocabulary;
