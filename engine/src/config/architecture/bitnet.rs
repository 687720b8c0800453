//! 1bitLLM's BitNet, the first of the family.
#![forbid(unsafe_code)]

use super::{Activation, Biases, Facts, Head, RopePairs};

pub(super) static FACTS: Facts = Facts {
    name: "bitnet",
    activation: Activation::Silu,
    rope_pairs: RopePairs::Halves,
    partial_rotation: true,
    rope_factors: false,
    sub_norms: true,
    head_norms: false,
    head: Head::EmbeddingOnly,
    scales: true,
    biases: Biases::Nowhere,
    // Microsoft's class with the older activation is the same model.
    classes: &["BitnetForCausalLM", "BitNetForCausalLM"],
};
