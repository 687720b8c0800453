//! Qwen3: a norm for the heads of queries and one for those of keys, in front of the rotation.
#![forbid(unsafe_code)]

use super::{Activation, Biases, Facts, Head, RopePairs};

pub(super) static FACTS: Facts = Facts {
    name: "qwen3",
    activation: Activation::Silu,
    rope_pairs: RopePairs::Halves,
    partial_rotation: false,
    rope_factors: false,
    sub_norms: false,
    head_norms: true,
    head: Head::Own,
    scales: false,
    biases: Biases::Attention,
    classes: &["Qwen3ForCausalLM"],
};
