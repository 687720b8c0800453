//! The model families the engine computes, each a row of facts in a file of its own.
#![forbid(unsafe_code)]

mod bitnet;
mod bitnet_b158;
mod llama;
mod qwen3;

use crate::gguf::Metadata;
use crate::refusal::{Code, Refusal};

/// The model families the engine computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// 1bitLLM's BitNet: SiLU, sub-norms, optional `.scale` tensors, always tied head.
    Bitnet,
    /// BitNet b1.58 under its first name.
    Bitnet25,
    /// BitNet b1.58 2B4T: squared ReLU, sub-norms, logits from the embedding.
    BitnetB158,
    /// Llama, with ternary weights or others: rotation of adjacent pairs, separate head.
    Llama,
    /// Qwen3: queries and keys normalised head by head, heads of any length.
    Qwen3,
}

/// What makes a family.
#[derive(Debug)]
pub struct Facts {
    /// The value of `general.architecture`, which is also the prefix of the keys.
    pub name: &'static str,
    /// The gate's non-linearity.
    pub activation: Activation,
    /// Which elements a rotation pairs.
    pub rope_pairs: RopePairs,
    /// Whether a part of a head may stay as it is.
    pub partial_rotation: bool,
    /// Whether a file may bring factors for the angles.
    pub rope_factors: bool,
    /// Whether what attention and the feed-forward block put out is normalised once more.
    pub sub_norms: bool,
    /// Whether queries and keys are normalised, each head by itself.
    pub head_norms: bool,
    /// Where logits come from.
    pub head: Head,
    /// Whether a factor may follow a product.
    pub scales: bool,
    /// Which products a bias may follow.
    pub biases: Biases,
    /// What the class of such a model is called in a Hugging Face checkpoint.
    pub classes: &'static [&'static str],
}

/// Where logits come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// A matrix of its own where there is one, else the table of embeddings.
    Own,
    /// The table of embeddings; a matrix of its own is left out.
    Embedding,
    /// The table of embeddings; a file with a matrix of its own is for something else.
    EmbeddingOnly,
}

/// Which products a bias may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Biases {
    /// None.
    Nowhere,
    /// Those of attention; elsewhere a bias is left out.
    Attention,
    /// All of them.
    Everywhere,
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

impl Architecture {
    /// All of them.
    pub const ALL: [Architecture; 5] = [
        Architecture::Bitnet,
        Architecture::Bitnet25,
        Architecture::BitnetB158,
        Architecture::Llama,
        Architecture::Qwen3,
    ];

    /// What makes it.
    pub fn facts(self) -> &'static Facts {
        match self {
            Architecture::Bitnet => &bitnet::FACTS,
            Architecture::Bitnet25 => &bitnet_b158::FIRST,
            Architecture::BitnetB158 => &bitnet_b158::FACTS,
            Architecture::Llama => &llama::FACTS,
            Architecture::Qwen3 => &qwen3::FACTS,
        }
    }

    /// The value of `general.architecture`, which is also the prefix of the keys.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// What a file says it is.
    pub(super) fn of(metadata: &Metadata) -> Result<Self, Refusal> {
        let key = "general.architecture";
        let known = Self::ALL.map(Self::name).join(", ");
        let Some(name) = metadata.string(key)? else {
            return Err(metadata.missing(key, format!("one of {known}")));
        };
        Self::ALL
            .into_iter()
            .find(|architecture| architecture.name() == name)
            .ok_or_else(|| metadata.refuse(Code::UnknownArch, key, format!("one of {known}"), name))
    }
}
