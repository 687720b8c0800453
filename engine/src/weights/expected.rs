//! Which tensors an architecture has, and how large they are: the one list that loading and
//! whoever checks a file read.
#![forbid(unsafe_code)]

use crate::config::{Biases, Config, Head};

/// One tensor of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Its name.
    pub name: String,
    /// In ggml order, the contiguous dimension first.
    pub dims: Vec<usize>,
    /// Whether a file without it is refused.
    pub required: bool,
}

/// The linear weights of a block, as they are named there.
pub const LINEAR: [&str; 7] = [
    "attn_q",
    "attn_k",
    "attn_v",
    "attn_output",
    "ffn_gate",
    "ffn_up",
    "ffn_down",
];

/// Every tensor that a file of that configuration may hold.
pub fn expected(config: &Config) -> Vec<Expected> {
    let width = config.embedding_length;
    let embedding = [width, config.vocab_size];
    let mut list = List(Vec::new());
    list.required("token_embd.weight", &embedding);
    list.required("output_norm.weight", &[width]);
    let facts = config.architecture.facts();
    if facts.head != Head::EmbeddingOnly {
        list.optional("output.weight", &embedding);
    }
    if facts.rope_factors {
        list.optional("rope_freqs.weight", &[config.rope_dimensions / 2]);
    }
    for block in 0..config.block_count {
        list.block(config, block);
    }
    list.0
}

struct List(Vec<Expected>);

impl List {
    fn block(&mut self, config: &Config, block: usize) {
        let (width, inner) = (config.embedding_length, config.feed_forward_length);
        let heads = config.head_count * config.head_dim;
        let kv_heads = config.head_count_kv * config.head_dim;
        let facts = config.architecture.facts();
        let name = |part: &str, kind: &str| format!("blk.{block}.{part}.{kind}");
        for part in LINEAR {
            let [cols, rows] = match part {
                "attn_q" => [width, heads],
                "attn_k" | "attn_v" => [width, kv_heads],
                "attn_output" => [heads, width],
                "ffn_down" => [inner, width],
                _ => [width, inner],
            };
            self.required(&name(part, "weight"), &[cols, rows]);
            if facts.scales {
                self.optional(&name(part, "scale"), &[1]);
            }
            if facts.biases != Biases::Nowhere {
                self.optional(&name(part, "bias"), &[rows]);
            }
        }
        if config.has_head_norms {
            for part in ["attn_q_norm", "attn_k_norm"] {
                self.required(&name(part, "weight"), &[config.head_dim]);
            }
        }
        for (part, sub, input) in [
            ("attn_norm", "attn_sub_norm", heads),
            ("ffn_norm", "ffn_sub_norm", inner),
        ] {
            self.required(&name(part, "weight"), &[width]);
            if config.has_sub_norms {
                self.required(&name(sub, "weight"), &[input]);
            }
        }
    }

    fn required(&mut self, name: &str, dims: &[usize]) {
        self.push(name, dims, true);
    }

    fn optional(&mut self, name: &str, dims: &[usize]) {
        self.push(name, dims, false);
    }

    fn push(&mut self, name: &str, dims: &[usize], required: bool) {
        self.0.push(Expected {
            name: name.to_owned(),
            dims: dims.to_vec(),
            required,
        });
    }
}
