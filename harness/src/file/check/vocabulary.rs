//! Lints about the tokenizer.

use engine::gguf::{Gguf, TensorInfo, Value};
use engine::tokenizer::Tokenizer;

use super::{Findings, Lint};

const PRE: &str = "tokenizer.ggml.pre";
const ADD_BOS: &str = "tokenizer.ggml.add_bos_token";

pub(super) fn examine(gguf: &Gguf, findings: &mut Findings) {
    let metadata = &gguf.metadata;
    let text = |key| match metadata.get(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let byte_level = text("tokenizer.ggml.model") == Some(b"gpt2");
    match text(PRE).unwrap_or_default() {
        b"" if byte_level => findings.add(Lint::PreTokenizerMissing, PRE, guess(gguf)),
        b"default" if byte_level => findings.add(Lint::PreTokenizerDefault, PRE, guess(gguf)),
        _ => {}
    }
    match Tokenizer::from_metadata(metadata) {
        Err(refusal) => {
            let field = refusal.field.clone();
            findings.add(Lint::TokenizerRefused, &field, refusal.to_string());
        }
        Ok(Some(tokenizer)) => {
            let has_bos = metadata.get("tokenizer.ggml.bos_token_id").is_some();
            let silent = metadata.get(ADD_BOS).is_none() && !tokenizer.adds_bos();
            if byte_level && has_bos && silent {
                let detail = "there is a BOS token, and no text will begin with it";
                findings.add(Lint::AddBosMissing, ADD_BOS, detail);
            }
        }
        Ok(None) => {}
    }
    sizes(gguf, findings);
}

/// What can be said about the word rules from the size of the vocabulary.
fn guess(gguf: &Gguf) -> String {
    const LLAMA_3: u64 = 128_256;
    let tokens = token_count(gguf).unwrap_or(0);
    match tokens {
        LLAMA_3 => format!("{tokens} tokens are Llama 3's vocabulary: llama-bpe"),
        _ => format!("{tokens} tokens"),
    }
}

fn token_count(gguf: &Gguf) -> Option<u64> {
    match gguf.metadata.get("tokenizer.ggml.tokens") {
        Some(Value::Array(tokens)) => Some(tokens.len),
        _ => None,
    }
}

fn sizes(gguf: &Gguf, findings: &mut Findings) {
    let architecture = gguf.metadata.string("general.architecture");
    let key = format!("{}.vocab_size", architecture.ok().flatten().unwrap_or(""));
    let stated = gguf.metadata.u32(&key).ok().flatten().map(u64::from);
    let rows = gguf.tensors.get("token_embd.weight").map(TensorInfo::rows);
    let said = [
        ("tokenizer.ggml.tokens", token_count(gguf)),
        (key.as_str(), stated),
        ("token_embd.weight", rows),
    ];
    let known = said.iter().filter_map(|&(name, size)| Some((name, size?)));
    let Some((first, size)) = known.clone().next() else {
        return;
    };
    for (name, other) in known {
        if other != size {
            let detail = format!("{first} says {size}, {name} says {other}");
            findings.add(Lint::VocabSizeMismatch, name, detail);
        }
    }
}
