//! Defaults, alternatives and the rules that differ between architectures.

use super::*;
use crate::bytes::ModelBytes;
use crate::gguf::Writer;
use crate::gguf::writer::Field;

/// The required keys of an architecture, with some replaced or added.
fn config(architecture: &str, changes: &[(&str, Field)]) -> Result<Config, Refusal> {
    config_under(architecture, architecture, changes)
}

/// The same, with another word before the dot.
fn config_under(
    prefix: &str,
    architecture: &str,
    changes: &[(&str, Field)],
) -> Result<Config, Refusal> {
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
        writer = writer.key(&format!("{prefix}.{key}"), value);
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
        (config.rope_freq_base, config.rope_stretch),
        (10_000.0, Stretch::NONE)
    );
    assert_eq!(config.attention_scale, 1.0 / 24f32.sqrt());
    assert_eq!(config.vocab_size, 7);
}

#[test]
fn keys_may_have_the_word_that_oxibonsai_has_for_every_architecture() {
    let changes = [("attention.key_length", Field::U32(32))];
    let named = config("qwen3", &changes).expect("complete");
    assert_eq!(config_under("llm", "qwen3", &changes), Ok(named));
    let refusal = config_under("gpt", "qwen3", &changes).expect_err("another word");
    assert_eq!(refusal.field, "metadata.\"qwen3.block_count\"");
    let refusal = config_under("llm", "qwen3", &[("attention.head_count", Field::U32(0))]);
    assert_eq!(
        refusal.expect_err("told by its own name").field,
        "metadata.\"llm.attention.head_count\""
    );
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
    let scale = |changes: &[(&str, Field)]| config("llama", changes).map(|c| c.rope_stretch.scale);
    assert_eq!(scale(std::slice::from_ref(&factor)), Ok(0.25));
    assert_eq!(scale(&[("rope.scale_linear", Field::F32(2.0))]), Ok(0.5));
    assert_eq!(scale(&[factor.clone(), kind("linear")]), Ok(0.25));
    assert_eq!(scale(&[factor.clone(), kind("none")]), Ok(1.0));
    let refusal = scale(&[factor, kind("longrope")]).expect_err("other arithmetic");
    assert_eq!(
        (refusal.code, refusal.found.as_str()),
        (Code::HparamInvalid, "longrope")
    );
}

#[test]
fn yarn_counts_from_the_context_of_training_and_knows_the_usual_constants() {
    let keys = |more: &[(&str, Field)]| {
        let yarn = [
            ("rope.scaling.type", Field::from("yarn")),
            ("rope.scaling.factor", Field::F32(4.0)),
        ];
        config("llama", &[&yarn, more].concat()).map(|config| config.rope_stretch)
    };
    let trained = |positions| {
        (
            "rope.scaling.original_context_length",
            Field::U32(positions),
        )
    };
    let yarn = |positions| {
        Ok(Stretch {
            trained: Some(positions),
            ..Stretch::by(0.25)
        })
    };
    assert_eq!(keys(&[]), yarn(64), "that of the model");
    assert_eq!(keys(&[trained(16)]), yarn(16));
    let stronger = keys(&[("rope.scaling.attn_factor", Field::F32(0.5))]).expect("computed");
    assert_eq!(stronger.attention, 0.5);
    for (key, value, said) in [
        ("rope.scaling.yarn_beta_fast", Field::F32(16.0), "16"),
        ("rope.scaling.original_context_length", Field::U32(0), "0"),
        ("rope.freq_base", Field::F32(1.0), "1"),
    ] {
        let refusal = keys(&[(key, value)]).expect_err("refused");
        let found = (refusal.code, refusal.found.as_str());
        assert_eq!(found, (Code::HparamInvalid, said));
    }
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
