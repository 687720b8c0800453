//! A table of checkpoints that are damaged, each with what is said of it: the code, the file and
//! the field, the byte where there is one, and both of what disagree.

use std::fs;

use engine::refusal::{Code, Refusal};
use harness::fixture::checkpoint::Form;

use super::{MOBY, Made, files, options};
use crate::program::fixture;

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const SECOND: &str = "model-00002-of-00002.safetensors";

/// One kind of damage.
struct Row {
    what: &'static str,
    shards: usize,
    damage: fn(&Made),
    code: Code,
    /// Parts of the field, of what was expected and of what was found.
    told: [&'static str; 3],
    /// Whether a byte is named.
    offset: bool,
}

const fn row(
    what: &'static str,
    damage: fn(&Made),
    code: Code,
    told: [&'static str; 3],
    offset: bool,
) -> Row {
    Row {
        what,
        shards: 1,
        damage,
        code,
        told,
        offset,
    }
}

const fn sharded(row: Row) -> Row {
    Row { shards: 2, ..row }
}

/// Replaces the length in front of a header.
fn header_length(made: &Made, length: u64) {
    let mut bytes = fs::read(made.file(WEIGHTS)).expect("there");
    bytes[..8].copy_from_slice(&length.to_le_bytes());
    fs::write(made.file(WEIGHTS), bytes).expect("written");
}

fn cut(made: &Made, name: &str, left: impl Fn(usize) -> usize) {
    let bytes = fs::read(made.file(name)).expect("there");
    fs::write(made.file(name), &bytes[..left(bytes.len())]).expect("written");
}

const ROWS: [Row; 31] = [
    row(
        "no configuration",
        |made| fs::remove_file(made.file(CONFIG)).expect("there"),
        Code::MissingKey,
        ["", "config.json", "no such file"],
        false,
    ),
    row(
        "a configuration cut off",
        |made| cut(made, CONFIG, |len| len / 2),
        Code::JsonInvalid,
        [CONFIG, "JSON", "EOF"],
        true,
    ),
    row(
        "a class nobody knows",
        |made| made.replace(CONFIG, "BitNetForCausalLM", "BertForMaskedLM__"),
        Code::UnknownArch,
        [
            "config.json.architectures[0]",
            "BitNetForCausalLM",
            "BertForMaskedLM__",
        ],
        false,
    ),
    row(
        "a size that is no number",
        |made| made.replace(CONFIG, "\"hidden_size\":256", "\"hidden_size\":\"256\""),
        Code::HparamInvalid,
        ["config.json.hidden_size", "integer", "\"256\""],
        false,
    ),
    row(
        "a size that no model has",
        |made| made.replace(CONFIG, "\"hidden_size\":256", "\"hidden_size\":9999999999"),
        Code::HparamInvalid,
        ["config.json.hidden_size", "1..=2147483647", "9999999999"],
        false,
    ),
    row(
        "more layers than tensors",
        |made| {
            made.replace(
                CONFIG,
                "\"num_hidden_layers\":4",
                "\"num_hidden_layers\":2000000000",
            )
        },
        Code::HparamInvalid,
        ["num_hidden_layers", "at most 46", "2000000000"],
        false,
    ),
    row(
        "a layer more than there is",
        |made| made.replace(CONFIG, "\"num_hidden_layers\":4", "\"num_hidden_layers\":5"),
        Code::MissingTensor,
        [
            "model.layers.4.self_attn.q_proj.weight",
            "[256, 256]",
            "no tensor",
        ],
        false,
    ),
    row(
        "a layer less than there is",
        |made| made.replace(CONFIG, "\"num_hidden_layers\":4", "\"num_hidden_layers\":3"),
        Code::UnknownTensor,
        [
            "model.layers.3.",
            "only tensors that bitnet-b1.58 has",
            "[256]",
        ],
        true,
    ),
    row(
        "heads that share no keys",
        |made| {
            made.replace(
                CONFIG,
                "\"num_key_value_heads\":2",
                "\"num_key_value_heads\":3",
            )
        },
        Code::HparamInvalid,
        ["num_key_value_heads", "a divisor of the head count 4", "3"],
        false,
    ),
    row(
        "a width that the tensors contradict",
        |made| {
            made.replace(
                CONFIG,
                "\"intermediate_size\":768",
                "\"intermediate_size\":512",
            )
        },
        Code::ShapeMismatch,
        ["mlp.gate_proj.weight\".shape", "[512, 256]", "[768, 256]"],
        true,
    ),
    row(
        "a vocabulary that the table contradicts",
        |made| made.replace(CONFIG, "\"vocab_size\":1024", "\"vocab_size\":1000"),
        Code::ShapeMismatch,
        ["model.embed_tokens.weight", "[1000, 256]", "[1024, 256]"],
        true,
    ),
    row(
        "rotation of another kind",
        |made| {
            let yarn = "\"rope_scaling\":{\"rope_type\":\"yarn\"},\"rms_norm_eps\"";
            made.replace(CONFIG, "\"rms_norm_eps\"", yarn);
        },
        Code::HparamInvalid,
        [
            "config.json.rope_scaling.rope_type",
            "default, linear or llama3",
            "yarn",
        ],
        false,
    ),
    row(
        "another quantisation",
        |made| {
            made.replace(
                CONFIG,
                "\"quant_method\":\"bitnet\"",
                "\"quant_method\":\"gptq__\"",
            )
        },
        Code::HparamInvalid,
        ["quantization_config.quant_method", "bitnet", "gptq__"],
        false,
    ),
    row(
        "no weights",
        |made| fs::remove_file(made.file(WEIGHTS)).expect("there"),
        Code::ShardMissing,
        ["", "model.safetensors", "neither"],
        false,
    ),
    row(
        "weights shorter than their length",
        |made| cut(made, WEIGHTS, |_| 7),
        Code::Truncated,
        ["model.safetensors.header", "8 bytes", "7"],
        true,
    ),
    row(
        "a header longer than the file",
        |made| header_length(made, u64::MAX),
        Code::HeaderInvalid,
        [
            "model.safetensors.header",
            "at most",
            "18446744073709551615",
        ],
        true,
    ),
    row(
        "a header that ends early",
        |made| header_length(made, 1000),
        Code::JsonInvalid,
        ["model.safetensors.header", "JSON", "of 1000 bytes"],
        true,
    ),
    row(
        "weights cut off",
        |made| cut(made, WEIGHTS, |len| len - 1),
        Code::DataPastEof,
        ["data_offsets", "a file of at least", "cut off?"],
        true,
    ),
    row(
        "bytes behind the last tensor",
        |made| {
            let bytes = fs::read(made.file(WEIGHTS)).expect("there");
            fs::write(made.file(WEIGHTS), [&bytes[..], b"more"].concat()).expect("written");
        },
        Code::HeaderInvalid,
        [WEIGHTS, "where the last tensor ends", ""],
        true,
    ),
    row(
        "an element of no known type",
        |made| made.replace(WEIGHTS, "\"dtype\":\"F32\"", "\"dtype\":\"X32\""),
        Code::DtypeMismatch,
        ["dtype", "one of F64, F32", "\"X32\""],
        false,
    ),
    row(
        "a shape that cannot be counted",
        |made| made.replace(WEIGHTS, "[768,256]", "[7e9,256]"),
        Code::DimsInvalid,
        ["shape[0]", "an integer", "7000000000"],
        false,
    ),
    row(
        "a shape larger than its bytes",
        |made| made.replace(WEIGHTS, "[768,256]", "[999,999]"),
        Code::OffsetInvalid,
        ["data_offsets", "3992004 bytes, for [999, 999] of F32", ".."],
        false,
    ),
    row(
        "two tensors of one name",
        |made| {
            made.replace(
                WEIGHTS,
                "layers.3.mlp.ffn_sub_norm",
                "layers.2.mlp.ffn_sub_norm",
            );
        },
        Code::DuplicateTensor,
        [
            "layers.2.mlp.ffn_sub_norm.weight",
            "one tensor",
            "two, at bytes",
        ],
        true,
    ),
    row(
        "a tensor that the architecture does not have",
        |made| made.replace(WEIGHTS, "model.norm.weight", "model.xorm.weight"),
        Code::MissingTensor,
        ["model.norm.weight", "output_norm.weight", "no tensor"],
        false,
    ),
    row(
        "a number that is none",
        |made| {
            let mut bytes = fs::read(made.file(WEIGHTS)).expect("there");
            let end = bytes.len();
            bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
            fs::write(made.file(WEIGHTS), bytes).expect("written");
        },
        Code::DataNonfinite,
        [".data", "finite", "NaN as element 767"],
        true,
    ),
    row(
        "no tokenizer",
        |made| fs::remove_file(made.file(TOKENIZER)).expect("there"),
        Code::TokenizerMissing,
        ["", TOKENIZER, "no such file"],
        false,
    ),
    row(
        "a token behind the last",
        |made| made.replace(TOKENIZER, "\"id\":1023", "\"id\":4023"),
        Code::VocabSizeMismatch,
        [
            "tokenizer.json.added_tokens[1].id",
            "vocab_size, 1024",
            "4023",
        ],
        false,
    ),
    row(
        "word rules of another kind",
        |made| made.replace(TOKENIZER, "{1,3}", "{1,9}"),
        Code::UnknownPretokenizer,
        ["tokenizer.json.pre_tokenizer", "llama-bpe", "{1,9}"],
        false,
    ),
    sharded(row(
        "a shard that is not there",
        |made| fs::remove_file(made.file(SECOND)).expect("there"),
        Code::ShardMissing,
        [SECOND, "the shard of", "no such file"],
        false,
    )),
    sharded(row(
        "an index that leaves a tensor out",
        |made| made.replace(INDEX, "\"model.norm.weight\"", "\"model.xorm.weight\""),
        Code::IndexMismatch,
        ["model.xorm.weight", "a tensor of model-0000", "none of its"],
        false,
    )),
    sharded(row(
        "an index that leads elsewhere",
        |made| made.replace(INDEX, SECOND, "../model-02-of-02.safetensors___"),
        Code::IndexMismatch,
        [
            "weight_map",
            "the name of a file in the same folder",
            "../model",
        ],
        false,
    )),
];

#[test]
fn each_is_refused_by_code_place_and_both_sides() {
    let mut wrong = Vec::new();
    let sound = [1, 2].map(|shards| files(&fixture(MOBY), Form::Values, shards));
    for row in &ROWS {
        let made = Made::from(&sound[row.shards - 1]);
        (row.damage)(&made);
        let refusal = made.refused(&options());
        let [field, expected, found] = row.told;
        let told = refusal.code == row.code
            && refusal.field.contains(field)
            && refusal.expected.contains(expected)
            && refusal.found.contains(found)
            && refusal.offset.is_some() == row.offset;
        if !told {
            let Refusal { offset, .. } = &refusal;
            wrong.push(format!("{}: {refusal}, offset {offset:?}", row.what));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} rows:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn without_damage_the_same_checkpoint_is_converted() {
    for shards in [1, 2] {
        let made = Made::moby(Form::Values, shards);
        assert!(made.convert(&options()).is_ok());
    }
}
