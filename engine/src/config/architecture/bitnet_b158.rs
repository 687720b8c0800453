//! BitNet b1.58 2B4T, under the name it has now and the one it had first.
#![forbid(unsafe_code)]

use super::{Activation, Biases, Facts, Head, RopePairs};

pub(super) static FACTS: Facts = Facts {
    name: "bitnet-b1.58",
    activation: Activation::SquaredRelu,
    rope_pairs: RopePairs::Halves,
    partial_rotation: false,
    rope_factors: true,
    sub_norms: true,
    head_norms: false,
    head: Head::Embedding,
    scales: false,
    biases: Biases::Attention,
    classes: &["BitNetForCausalLM"],
};

pub(super) static FIRST: Facts = Facts {
    name: "bitnet-25",
    classes: &[],
    ..FACTS
};
