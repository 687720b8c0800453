//! Plain data that goes in and out: options, facts, identity. No pointer is in sight.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a loaded library says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Which generation of the interface it has, in words.
    pub api: String,
    /// Its own line about the instruction sets it was compiled for.
    pub system_info: String,
    /// The file that `llama_decode` lives in.
    pub libllama: PathBuf,
    /// The file that the tensor library lives in.
    pub libggml: PathBuf,
    /// The rest: structure sizes, the compiler of the layer in front of it.
    pub details: BTreeMap<String, String>,
}

/// How a file is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelOptions {
    /// Read the vocabulary and no weights.
    pub vocab_only: bool,
    /// Map the file instead of reading it.
    pub use_mmap: bool,
    /// Let the library validate the tensors' data.
    pub check_tensors: bool,
    /// Allow it to rearrange weights for speed, which selects other kernels.
    pub repack: bool,
}

impl Default for ModelOptions {
    /// Read, not mapped; unchecked; weights as stored.
    fn default() -> Self {
        ModelOptions {
            vocab_only: false,
            use_mmap: false,
            check_tensors: false,
            repack: false,
        }
    }
}

/// What a library knows about a model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // each field is the library's own name for it
pub struct ModelFacts {
    pub n_vocab: usize,
    /// `None` where this generation does not tell.
    pub n_embd: Option<usize>,
    pub n_layer: Option<usize>,
    pub n_head: Option<usize>,
    pub n_ctx_train: Option<usize>,
    pub bos: Option<u32>,
    pub eos: Option<u32>,
    pub eot: Option<u32>,
    pub nl: Option<u32>,
    pub pad: Option<u32>,
    /// `None` where the file does not say.
    pub add_bos: Option<bool>,
    pub add_eos: Option<bool>,
    pub n_params: u64,
    pub n_bytes: u64,
    pub description: String,
}

/// One entry of the vocabulary.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenFacts {
    /// As stored, which for byte-level vocabularies is not the text it stands for.
    pub text: Vec<u8>,
    /// Its score; 0 in vocabularies without scores.
    pub score: f32,
    /// The library's bit set.
    pub attributes: u32,
    /// Whether generation ends here.
    pub is_end_of_generation: bool,
}

/// How tokens become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// The library's own function, which may edit spaces.
    Cleaned,
    /// The bytes of each token, one after another.
    Pieces,
}

/// Parameters of a context. All of them are a part of the arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionOptions {
    /// Positions the cache holds.
    pub context: u32,
    /// Most tokens of one call.
    pub batch: u32,
    /// Most tokens of one graph.
    pub ubatch: u32,
    /// Threads.
    pub threads: u32,
    /// The fused attention kernel.
    pub flash_attention: bool,
}

impl Default for SessionOptions {
    /// What the recordings were made with: 512 positions, one ubatch, one thread.
    fn default() -> Self {
        SessionOptions {
            context: 512,
            batch: 512,
            ubatch: 512,
            threads: 1,
            flash_attention: false,
        }
    }
}

/// Which positions' logits a call hands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// Every position's.
    All,
    /// Only the last one's.
    Last,
    /// Those at these indices into the tokens of the call, ascending.
    At(&'a [usize]),
}

impl Wanted<'_> {
    /// One flag per token.
    pub fn flags(&self, n_tokens: usize) -> Vec<u8> {
        let mut flags = vec![u8::from(*self == Wanted::All); n_tokens];
        match self {
            Wanted::All => {}
            Wanted::Last => flags.iter_mut().rev().take(1).for_each(|flag| *flag = 1),
            Wanted::At(indices) => {
                indices
                    .iter()
                    .filter(|&&i| i < n_tokens)
                    .for_each(|&i| flags[i] = 1);
            }
        }
        flags
    }
}

/// What a library can do with a tensor type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TypeFacts {
    /// The library's name for it.
    pub name: String,
    /// Elements per block.
    pub block_size: usize,
    /// Bytes per block.
    pub block_bytes: usize,
    /// Type of a dot product's second operand.
    pub dot_partner: Option<i32>,
    /// [`crate::Kernels::quantize`] works.
    pub can_quantize: bool,
    /// [`crate::Kernels::dequantize`] works.
    pub can_dequantize: bool,
    /// [`crate::Kernels::quantize_activation`] works.
    pub can_quantize_activation: bool,
    /// [`crate::Kernels::dot`] works.
    pub can_dot: bool,
}

/// A row of activations as a dot product takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct ActivationRow {
    /// The quantised values.
    pub bytes: Vec<u8>,
    /// The scale, for the one type (I8_S) whose bytes do not hold it; else 0.
    pub scale: f32,
    /// The sum of the codes, likewise.
    pub sum: i32,
}

/// How a file is quantised again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequantizeOptions {
    /// `llama_ftype` of the tree at hand: the numbers differ between generations.
    pub file_type: i32,
    /// Threads. One is the only count that is right for I2_S everywhere.
    pub threads: i32,
    /// Accept weights that are already quantised.
    pub allow_requantize: bool,
    /// No exceptions for embedding and head.
    pub pure: bool,
    /// Only copy tensors.
    pub only_copy: bool,
    /// Quantise the head as well.
    pub quantize_output: bool,
}

#[cfg(test)]
mod tests {
    use super::Wanted;

    #[test]
    fn wanted_positions_become_flags() {
        assert_eq!(Wanted::All.flags(3), [1, 1, 1]);
        assert_eq!(Wanted::Last.flags(3), [0, 0, 1]);
        assert_eq!(Wanted::At(&[0, 2]).flags(3), [1, 0, 1]);
        assert_eq!(
            Wanted::At(&[7]).flags(3),
            [0, 0, 0],
            "refused below: nothing is wanted"
        );
        assert_eq!(Wanted::Last.flags(0), [0_u8; 0]);
    }
}
