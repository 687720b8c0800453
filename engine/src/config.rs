//! Hyper-parameters from metadata: a plain struct, every field checked once.
#![forbid(unsafe_code)]

use crate::gguf::Gguf;
use crate::refusal::Refusal;

/// The model families the engine computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// 1bitLLM's BitNet: SiLU, sub-norms, optional `.scale` tensors, always tied head.
    Bitnet,
    /// BitNet b1.58 under its first name.
    Bitnet25,
    /// BitNet b1.58 2B4T: squared ReLU, sub-norms, logits from the embedding.
    BitnetB158,
    /// Llama with ternary weights: rotation of adjacent pairs, no sub-norms, separate head.
    Llama,
}

/// The gate's non-linearity in the feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Activation {
    Silu,
    SquaredRelu,
}

/// Which elements a rotation pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RopePairs {
    /// `i` with `i + n/2`.
    Halves,
    /// `2i` with `2i + 1`.
    Adjacent,
}

/// Everything the forward pass needs to know besides the weights.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // the fields are the GGUF keys they come from
pub struct Config {
    pub architecture: Architecture,
    pub activation: Activation,
    pub rope_pairs: RopePairs,
    pub has_sub_norms: bool,
    pub vocab_size: usize,
    pub context_length: usize,
    pub embedding_length: usize,
    pub block_count: usize,
    pub feed_forward_length: usize,
    pub head_count: usize,
    pub head_count_kv: usize,
    pub head_dim: usize,
    pub rope_dimensions: usize,
    pub rope_freq_base: f32,
    /// `1 / factor` for linear scaling, else 1.
    pub rope_freq_scale: f32,
    pub rms_epsilon: f32,
    /// `attention.scale` if given, else `1 / sqrt(head_dim)`.
    pub attention_scale: f32,
}

impl Config {
    /// Reads and checks every hyper-parameter the architecture asks for.
    pub fn from_gguf(_gguf: &Gguf) -> Result<Self, Refusal> {
        todo!("config")
    }
}
