//! What an architecture calls its intermediate values.
#![forbid(unsafe_code)]

use crate::config::Architecture;

/// What the values of a [`Linear`](crate::weights::Linear) are called, as far as the name depends
/// on what follows.
#[derive(Debug, Clone, Copy)]
pub struct LinearLabels {
    /// The product, when nothing follows it.
    pub alone: &'static str,
    /// The product, when a factor or a bias follows; `None` where it has no name.
    pub followed: Option<&'static str>,
    /// After the factor.
    pub scaled: &'static str,
    /// After the bias.
    pub biased: &'static str,
}

impl LinearLabels {
    /// The last value has the name, those before have none.
    pub const fn last(name: &'static str) -> Self {
        LinearLabels {
            alone: name,
            followed: None,
            scaled: name,
            biased: name,
        }
    }

    /// Every value has the same name.
    pub const fn every(name: &'static str) -> Self {
        LinearLabels {
            alone: name,
            followed: Some(name),
            scaled: name,
            biased: name,
        }
    }
}

/// The names that differ between architectures or depend on what a matrix carries with it.
pub struct Labels {
    /// Query projection.
    pub query: LinearLabels,
    /// Key projection.
    pub key: LinearLabels,
    /// Value projection.
    pub value: LinearLabels,
    /// What attention gathered, heads side by side.
    pub gathered: &'static str,
    /// Output projection of attention.
    pub attention_output: LinearLabels,
    /// Gate of the feed-forward block.
    pub gate: LinearLabels,
    /// The other input of the feed-forward block.
    pub up: LinearLabels,
    /// Their product.
    pub gated: &'static str,
    /// Output projection of the feed-forward block.
    pub down: LinearLabels,
}

impl Labels {
    /// The names of an architecture.
    pub fn of(architecture: Architecture) -> Self {
        let projection = |name| match architecture {
            Architecture::Bitnet => LinearLabels::last(name),
            _ => LinearLabels::every(name),
        };
        let step = |alone, scaled, biased| LinearLabels {
            alone,
            followed: Some(alone),
            scaled,
            biased,
        };
        let llama = matches!(architecture, Architecture::Llama | Architecture::Qwen3);
        let wide = |name, before| LinearLabels {
            followed: Some(before),
            ..LinearLabels::last(name)
        };
        Labels {
            query: projection("Qcur"),
            key: projection("Kcur"),
            value: projection("Vcur"),
            gathered: if llama { "kqv_merged_cont" } else { "kqv_out" },
            attention_output: if llama {
                wide("kqv_out", "kqv_wo")
            } else {
                LinearLabels::last("attn_o_out")
            },
            gate: step("ffn_gate", "ffn_gate_s", "ffn_gate_b"),
            up: step("ffn_up", "ffn_up_s", "ffn_up_b"),
            gated: match architecture {
                Architecture::Bitnet => "ffn_sub_out",
                Architecture::Bitnet25 | Architecture::BitnetB158 => "ffn_out",
                Architecture::Llama | Architecture::Qwen3 => "ffn_gate_par",
            },
            down: if llama {
                wide("ffn_out", "ffn_down")
            } else {
                LinearLabels::last("ffn_down")
            },
        }
    }
}
