//! Llama, and what follows it: Llama 3 and Falcon 3 with ternary weights among them.
#![forbid(unsafe_code)]

use super::{Activation, Biases, Facts, Head, RopePairs};

pub(super) static FACTS: Facts = Facts {
    name: "llama",
    activation: Activation::Silu,
    rope_pairs: RopePairs::Adjacent,
    partial_rotation: false,
    rope_factors: true,
    sub_norms: false,
    head_norms: false,
    head: Head::Own,
    scales: false,
    biases: Biases::Everywhere,
    classes: &["LlamaForCausalLM"],
};
