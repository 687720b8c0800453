//! A BitNet engine in plain Rust: the bytes of a GGUF file in, logits out.
//!
//! The modules are listed in the order the data flows. Each may use the ones above it, never
//! the ones below.
//!
//! | stage | what it turns into what |
//! |---|---|
//! | [`refusal`] | the one error of every loading stage: a stable code, where, and what disagreed |
//! | [`bytes`] | a file into checked, cheap-to-clone ranges of memory |
//! | [`gguf`] | bytes into metadata and a tensor directory proven to lie inside the file |
//! | [`config`] | metadata into hyper-parameters |
//! | [`tokenizer`] | metadata into a text ↔ token converter |
//! | [`encoding`] | values into the bytes of weights that are not ternary, and back |
//! | [`flavor`] | a tensor's bytes into a decision which packing they are in, with the evidence |
//! | [`pool`] | a session's threads, among which products are shared out |
//! | [`kernels`] | integer and float inner loops, one directory per instruction set |
//! | [`format`](mod@format) | the table of weight formats: type number, blocks, decoder, kernels |
//! | [`numerics`] | the order of every float operation, one file per profile |
//! | [`matrix`] | a tensor into one value that knows its shape, packing, bytes and kernel |
//! | [`export`] | tensors of any format into a file in another, and what that loses |
//! | [`weights`] | names into matrices with verified shapes |
//! | [`checkpoint`] | a Hugging Face checkpoint into a GGUF file |
//! | [`transformer`] | tokens into hidden states into logits |
//! | [`sampler`] | logits into the next token |
//! | [`session`] | all of it behind [`Model`] and [`Session`] |

pub mod bytes;
pub mod checkpoint;
pub mod config;
pub mod encoding;
pub mod export;
pub mod flavor;
pub mod format;
pub mod gguf;
pub mod kernels;
pub mod matrix;
pub mod numerics;
pub mod pool;
pub mod refusal;
pub mod sampler;
pub mod session;
pub mod tokenizer;
pub mod transformer;
pub mod weights;

pub use session::{Model, Session};

/// A token id, an index into the model's vocabulary.
pub type Token = u32;
