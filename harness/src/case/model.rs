//! What a model is made of, as a receipt says it: its weights and its vocabulary.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use engine::flavor::Flavor;
use engine::format::Format;
use engine::{Model, Token};
use serde::{Deserialize, Serialize};

/// What is known of a model before anything is computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFacts {
    /// As the file names it.
    pub architecture: String,
    /// The ternary weights.
    pub quant: Quant,
    /// What turns its texts into ids, if it brings that.
    pub vocabulary: Option<Vocabulary>,
}

/// The ternary weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quant {
    /// Format, e.g. `I2_S`.
    pub format: String,
    /// Packing, e.g. `i2_s-p128`.
    pub flavor: String,
    /// The packing as BitNet-rs calls it, if it knows it.
    pub i2s_flavor: Option<String>,
    /// Blocks of a row as wide as the embedding.
    pub blocks_per_row: Option<usize>,
    /// Bytes of such a row.
    pub row_stride_bytes: Option<usize>,
    /// Whether the packing was given instead of found out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
}

/// What turns texts into ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vocabulary {
    /// The algorithm, as GGUF names it: `gpt2` for byte-level BPE, `llama` for SentencePiece.
    pub kind: String,
    /// Number of tokens.
    pub vocab_size: usize,
    /// Where it was found.
    pub source: String,
    /// The token in front of a text.
    pub bos_token_id: Option<Token>,
    /// The token behind a text.
    pub eos_token_id: Option<Token>,
    /// The token behind a turn of a conversation.
    pub eot_token_id: Option<Token>,
}

impl ModelFacts {
    /// Those of an open model. `forced` says that its packing was given.
    pub fn of(model: &Model, forced: bool) -> Self {
        let config = model.config();
        let vocabulary = model.tokenizer().map(|tokenizer| Vocabulary {
            kind: tokenizer.algorithm().to_owned(),
            vocab_size: tokenizer.vocab_size(),
            source: "gguf_embedded".to_owned(),
            bos_token_id: tokenizer.bos(),
            eos_token_id: tokenizer.eos(),
            eot_token_id: tokenizer.eot(),
        });
        let flavors = model.detections().iter().map(|(_, d)| d.flavor).collect();
        ModelFacts {
            architecture: config.architecture.name().to_owned(),
            quant: Quant::of(&flavors, config.embedding_length, forced),
            vocabulary,
        }
    }

    /// Of a model that nothing is known of, with a word that says why.
    pub fn named(word: &str) -> Self {
        ModelFacts {
            architecture: word.to_owned(),
            quant: Quant::named(word),
            vocabulary: None,
        }
    }
}

impl Quant {
    fn of(flavors: &BTreeSet<Flavor>, width: usize, forced: bool) -> Self {
        let names: Vec<&str> = flavors.iter().map(|flavor| flavor.name()).collect();
        let only = flavors.first().filter(|_| flavors.len() == 1).copied();
        let format = match flavors.first() {
            None => return Quant::named("dense"),
            Some(Flavor::Qk256) => "I2S_QK256",
            Some(Flavor::Tq1_0 | Flavor::Tq2_0) => "ternary",
            Some(_) => "I2_S",
        };
        // Where four rows share a byte, a row has no blocks of its own.
        let blocks = only.filter(|flavor| *flavor != Flavor::I2sP4r);
        let blocks = blocks.map(|flavor| {
            let format = Format::of_flavor(flavor);
            (width.div_ceil(format.block), format.block_bytes)
        });
        Quant {
            format: format.to_owned(),
            flavor: names.join("+"),
            i2s_flavor: only.and_then(predecessors_name).map(str::to_owned),
            blocks_per_row: blocks.map(|(blocks, _)| blocks),
            row_stride_bytes: blocks.map(|(blocks, bytes)| blocks * bytes),
            forced,
        }
    }

    /// A word instead of facts.
    pub fn named(word: &str) -> Self {
        Quant {
            format: word.to_owned(),
            flavor: word.to_owned(),
            i2s_flavor: None,
            blocks_per_row: None,
            row_stride_bytes: None,
            forced: false,
        }
    }
}

/// The packings of I2_S that BitNet-rs has, by its names.
fn predecessors_name(flavor: Flavor) -> Option<&'static str> {
    match flavor {
        Flavor::Qk256 => Some("GgmlQk256NoScale"),
        Flavor::Bitnet32F16 => Some("BitNet32F16"),
        Flavor::Split32 => Some("Split32WithSibling"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_2048_is_8_blocks_of_qk256_as_the_predecessor_counts_them() {
        let quant = |flavors: &[Flavor]| Quant::of(&flavors.iter().copied().collect(), 2048, false);
        let qk256 = quant(&[Flavor::Qk256]);
        assert_eq!(qk256.format, "I2S_QK256");
        assert_eq!(qk256.i2s_flavor.as_deref(), Some("GgmlQk256NoScale"));
        assert_eq!(
            (qk256.blocks_per_row, qk256.row_stride_bytes),
            (Some(8), Some(512))
        );

        let two = quant(&[Flavor::I2sP128, Flavor::Bitnet32F16]);
        assert_eq!((two.blocks_per_row, two.i2s_flavor), (None, None));
        assert_eq!(two.flavor, "i2_s-p128+bitnet32-f16");
        assert_eq!(quant(&[Flavor::I2sP4r]).blocks_per_row, None);
        assert_eq!(quant(&[]), Quant::named("dense"));
    }
}
