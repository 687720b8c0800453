//! The tensors an architecture has, with their dimensions.
#![forbid(unsafe_code)]

use engine::config::{Architecture, Config};

/// One tensor of the list.
pub(super) struct Expected {
    pub name: String,
    /// In ggml order.
    pub dims: Vec<u64>,
    pub required: bool,
}

/// All tensors a file of that configuration may hold, in no particular order.
pub(super) fn tensors(config: &Config) -> Vec<Expected> {
    let sizes = Sizes::of(config);
    let mut list = vec![
        required("token_embd.weight", &[sizes.embedding, sizes.vocabulary]),
        required("output_norm.weight", &[sizes.embedding]),
    ];
    // The oldest architecture has neither a head of its own nor factors for the rotation.
    if config.architecture != Architecture::Bitnet {
        list.push(optional(
            "output.weight",
            &[sizes.embedding, sizes.vocabulary],
        ));
        list.push(optional(
            "rope_freqs.weight",
            &[config.rope_dimensions as u64 / 2],
        ));
    }
    for block in 0..config.block_count {
        list.extend(block_tensors(config, &sizes, block));
    }
    list
}

struct Sizes {
    embedding: u64,
    vocabulary: u64,
    heads: u64,
    kv_heads: u64,
    feed_forward: u64,
}

impl Sizes {
    fn of(config: &Config) -> Self {
        Sizes {
            embedding: config.embedding_length as u64,
            vocabulary: config.vocab_size as u64,
            heads: (config.head_dim * config.head_count) as u64,
            kv_heads: (config.head_dim * config.head_count_kv) as u64,
            feed_forward: config.feed_forward_length as u64,
        }
    }
}

fn block_tensors(config: &Config, sizes: &Sizes, block: usize) -> Vec<Expected> {
    let (e, f, h, kv) = (
        sizes.embedding,
        sizes.feed_forward,
        sizes.heads,
        sizes.kv_heads,
    );
    let linear = [
        ("attn_q", [e, h]),
        ("attn_k", [e, kv]),
        ("attn_v", [e, kv]),
        ("attn_output", [h, e]),
        ("ffn_gate", [e, f]),
        ("ffn_up", [e, f]),
        ("ffn_down", [f, e]),
    ];
    let name = |part: &str, kind: &str| format!("blk.{block}.{part}.{kind}");
    let mut list = Vec::new();
    for (part, dims) in linear {
        list.push(required(name(part, "weight"), &dims));
        list.push(match config.architecture {
            Architecture::Bitnet => optional(name(part, "scale"), &[1]),
            _ => optional(name(part, "bias"), &dims[1..]),
        });
    }
    list.push(required(name("attn_norm", "weight"), &[e]));
    list.push(required(name("ffn_norm", "weight"), &[e]));
    if config.has_sub_norms {
        list.push(required(name("attn_sub_norm", "weight"), &[h]));
        list.push(required(name("ffn_sub_norm", "weight"), &[f]));
    }
    list
}

fn required(name: impl Into<String>, dims: &[u64]) -> Expected {
    Expected {
        name: name.into(),
        dims: dims.to_vec(),
        required: true,
    }
}

fn optional(name: impl Into<String>, dims: &[u64]) -> Expected {
    Expected {
        required: false,
        ..required(name, dims)
    }
}
