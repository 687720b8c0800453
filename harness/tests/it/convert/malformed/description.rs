//! Damaged descriptions: `config.json` and `tokenizer.json`.

use std::fs;

use engine::refusal::Code;

use super::{CONFIG, Row, TOKENIZER, cut, row};

pub const ROWS: [Row; 20] = [
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
        "a size that is told twice",
        |made| {
            made.replace(
                CONFIG,
                "\"hidden_size\":256",
                "\"hidden_size\":256,\"hidden_size\":512",
            )
        },
        Code::DuplicateKey,
        [CONFIG, "different names", "\"hidden_size\""],
        true,
    ),
    row(
        "a configuration without a ground",
        |made| fs::write(made.file(CONFIG), "[".repeat(1 << 20)).expect("written"),
        Code::JsonInvalid,
        [CONFIG, "JSON", "recursion limit"],
        true,
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
            let yarn = "\"rope_scaling\":{\"rope_type\":\"dynamic\"},\"rms_norm_eps\"";
            made.replace(CONFIG, "\"rms_norm_eps\"", yarn);
        },
        Code::HparamInvalid,
        [
            "config.json.rope_scaling.rope_type",
            "default, linear, llama3 or yarn",
            "dynamic",
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
        "no tokenizer",
        |made| fs::remove_file(made.file(TOKENIZER)).expect("there"),
        Code::TokenizerMissing,
        ["", TOKENIZER, "no such file"],
        false,
    ),
    row(
        "a word that is listed twice",
        |made| made.replace(TOKENIZER, "\"vocab\":{", "\"vocab\":{\"~~\":1,\"~~\":2,"),
        Code::DuplicateKey,
        [TOKENIZER, "different names", "\"~~\""],
        true,
    ),
    row(
        "two words of one id",
        |made| made.replace(TOKENIZER, "\"vocab\":{", "\"vocab\":{\"~~\":0,"),
        Code::VocabDuplicate,
        ["tokenizer.json.model.vocab", "an id of its own", "0 as of"],
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
];
