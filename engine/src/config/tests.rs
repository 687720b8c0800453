//! Defaults, alternatives and the rules that differ between architectures.

use super::*;
use crate::bytes::ModelBytes;
use crate::gguf::Writer;
use crate::gguf::writer::Field;

/// The required keys of an architecture, with some replaced or added.
fn config(architecture: &str, changes: &[(&str, Field)]) -> Result<Config, Refusal> {
    let number = |value: u32| Field::U32(value);
    let mut keys: Vec<(&str, Field)> = vec![
        ("context_length", number(64)),
        ("embedding_length", number(96)),
        ("block_count", number(2)),
        ("feed_forward_length", number(256)),
        ("attention.head_count", number(4)),
        ("attention.layer_norm_rms_epsilon", Field::F32(1e-6)),
        ("vocab_size", number(7)),
    ];
    for (key, value) in changes {
        keys.retain(|(known, _)| known != key);
        keys.push((key, value.clone()));
    }
    let mut writer = Writer::new(3).key("general.architecture", architecture);
    for (key, value) in keys {
        writer = writer.key(&format!("{architecture}.{key}"), value);
    }
    for block in 0..2 {
        writer = writer.tensor(&format!("blk.{block}.norm"), &[1], 0, vec![0; 4]);
    }
    let gguf = Gguf::parse(ModelBytes::from_vec(writer.finish())).expect("a valid file");
    Config::from_gguf(&gguf)
}

#[test]
fn what_is_not_said_has_the_usual_value() {
    let config = config("llama", &[]).expect("complete");
    assert_eq!((config.head_count, config.head_count_kv), (4, 4));
    assert_eq!((config.head_dim, config.rope_dimensions), (24, 24));
    assert_eq!(
        (config.rope_freq_base, config.rope_freq_scale),
        (10_000.0, 1.0)
    );
    assert_eq!(config.attention_scale, 1.0 / 24f32.sqrt());
    assert_eq!(config.vocab_size, 7);
}

#[test]
fn each_architecture_brings_its_own_arithmetic() {
    use Activation::{Silu, SquaredRelu};
    use RopePairs::{Adjacent, Halves};
    for (name, activation, pairs, sub_norms) in [
        ("bitnet", Silu, Halves, true),
        ("bitnet-25", SquaredRelu, Halves, true),
        ("bitnet-b1.58", SquaredRelu, Halves, true),
        ("llama", Silu, Adjacent, false),
    ] {
        let config = config(name, &[]).expect("complete");
        assert_eq!(config.architecture.name(), name);
        assert_eq!(config.activation, activation, "{name}");
        assert_eq!(config.rope_pairs, pairs, "{name}");
        assert_eq!(config.has_sub_norms, sub_norms, "{name}");
    }
}

#[test]
fn scaling_divides_positions_unless_it_is_switched_off() {
    let factor = ("rope.scaling.factor", Field::F32(4.0));
    let kind = |name: &str| ("rope.scaling.type", Field::from(name));
    let scale = |changes: &[(&str, Field)]| config("llama", changes).map(|c| c.rope_freq_scale);
    assert_eq!(scale(std::slice::from_ref(&factor)), Ok(0.25));
    assert_eq!(scale(&[("rope.scale_linear", Field::F32(2.0))]), Ok(0.5));
    assert_eq!(scale(&[factor.clone(), kind("linear")]), Ok(0.25));
    assert_eq!(scale(&[factor.clone(), kind("none")]), Ok(1.0));
    let refusal = scale(&[factor, kind("yarn")]).expect_err("other arithmetic");
    assert_eq!(
        (refusal.code, refusal.found.as_str()),
        (Code::HparamInvalid, "yarn")
    );
}

#[test]
fn a_number_per_block_is_read_where_all_are_equal() {
    let heads = |values: Vec<u32>| config("llama", &[("attention.head_count_kv", values.into())]);
    assert_eq!(heads(vec![2, 2]).map(|config| config.head_count_kv), Ok(2));
    let refusal = heads(vec![2, 4]).expect_err("the blocks differ");
    assert_eq!(
        (refusal.code, refusal.found.as_str()),
        (Code::HparamInvalid, "4")
    );
    let refusal = heads(vec![2, 2, 2]).expect_err("there are two blocks");
    assert_eq!(
        (refusal.code, refusal.found.as_str()),
        (Code::HparamInvalid, "3")
    );
}

#[test]
fn heads_may_be_wider_than_the_embedding_only_without_sub_norms() {
    let wide = [("attention.key_length", Field::U32(32))];
    assert_eq!(config("llama", &wide).map(|config| config.head_dim), Ok(32));
    let refusal = config("bitnet-b1.58", &wide).expect_err("the sub-norm is 96 wide");
    assert_eq!(
        (refusal.code, refusal.found.as_str()),
        (Code::HparamInvalid, "4 of 32")
    );
}

#[test]
fn only_bitnet_rotates_a_part_of_a_head() {
    let part = [("rope.dimension_count", Field::U32(8))];
    assert_eq!(
        config("bitnet", &part).map(|config| config.rope_dimensions),
        Ok(8)
    );
    let refusal = config("llama", &part).expect_err("the whole head turns");
    assert_eq!(
        (refusal.code, refusal.found.as_str()),
        (Code::HparamInvalid, "8")
    );
}

#[test]
fn another_architectures_attention_scale_changes_nothing() {
    let with_key = config("llama", &[("attention.scale", Field::F32(0.125))]);
    assert_eq!(
        with_key.map(|config| config.attention_scale),
        Ok(1.0 / 24f32.sqrt())
    );
}
