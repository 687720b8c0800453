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
//! | [`template`] | a conversation into a prompt, by the model's own template |
//! | [`error`] | what goes wrong in any of them, as one type |
//! | [`generation`] | a prompt into a text, token by token |
//! | [`chat`] | what the user says into answers |
//!
//! For everybody who only wants to use it:
//!
//! ```
//! use engine::sampler::Sampling;
//!
//! let model = engine::open("../fixtures/moby-tiny/moby-tiny-b158.gguf")?;
//! let prompt = model.tokenize("Call me")?;
//! let logits = model.session()?.logits(&prompt)?; // of every position
//! let mut session = model.session()?;
//! for piece in session.generate(&prompt, &Sampling::default())?.at_most(20).text() {
//!     print!("{}", piece?);
//! }
//! # assert_eq!(logits.len(), 4 * model.config().vocab_size);
//! # Ok::<_, engine::Error>(())
//! ```
//!
//! `model.chat()?.say("Who are you?")?` holds a [conversation](session::Model::chat). A session
//! keeps its model, so that both fit into one struct; every error converts into [`Error`]; options
//! have defaults. [`Session::feed`](session::Session::feed) is the door for who watches or changes
//! the values of single operations.

pub mod bytes;
#[cfg(feature = "chat")]
pub mod chat;
pub mod checkpoint;
pub mod config;
pub mod encoding;
pub mod error;
pub mod export;
pub mod flavor;
pub mod format;
pub mod generation;
pub mod gguf;
pub mod kernels;
pub mod matrix;
pub mod numerics;
pub mod pool;
pub mod refusal;
pub mod sampler;
pub mod session;
#[cfg(feature = "chat")]
pub mod template;
pub mod tokenizer;
pub mod transformer;
pub mod weights;

pub use error::Error;
pub use generation::open;
pub use session::{Model, Session};

/// A token id, an index into the model's vocabulary.
pub type Token = u32;
