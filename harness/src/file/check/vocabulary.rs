//! Lints about the tokenizer.

use engine::gguf::{Gguf, TensorInfo, Value};
use engine::tokenizer::{TokenKind, Tokenizer};
use minijinja::Environment;

use super::{Findings, Lint};

const PRE: &str = "tokenizer.ggml.pre";
const ADD_BOS: &str = "tokenizer.ggml.add_bos_token";
const EOS: &str = "tokenizer.ggml.eos_token_id";
const CHAT_TEMPLATE: &str = "tokenizer.chat_template";

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
            rules(&tokenizer, findings);
            end(&tokenizer, findings);
            template(&tokenizer, findings);
        }
        Ok(None) => {}
    }
    sizes(gguf, findings);
}

/// Under the rules a vocabulary was trained with hardly any token is cut apart.
fn rules(tokenizer: &Tokenizer, findings: &mut Findings) {
    const CHANCE: usize = 64;
    let families = tokenizer.cut_apart();
    let stated = tokenizer.word_rules();
    let own = families.iter().find(|(name, _)| Some(*name) == stated);
    let best = families.iter().min_by_key(|(_, apart)| apart);
    if let (Some(&(name, apart)), Some(&(better, fewer))) = (own, best)
        && name != "default"
        && apart > 2 * fewer + CHANCE
    {
        let detail = format!("{name} cuts {apart} tokens apart, {better} {fewer}");
        findings.add(Lint::PreTokenizerSuspect, PRE, detail);
    }
}

fn end(tokenizer: &Tokenizer, findings: &mut Findings) {
    if let Some(eos) = tokenizer.eos()
        && tokenizer.kind(eos) == Some(TokenKind::Normal)
    {
        let text = String::from_utf8_lossy(tokenizer.token_text(eos).unwrap_or_default());
        let detail = format!("token {eos}, {text:?}, is normal text");
        findings.add(Lint::EndTokenOrdinary, EOS, detail);
    }
}

/// Only whether it can be read: running it is another program's business.
fn template(tokenizer: &Tokenizer, findings: &mut Findings) {
    let Some(template) = tokenizer.chat_template() else {
        return;
    };
    if let Err(error) = Environment::new().template_from_str(template) {
        findings.add(Lint::ChatTemplateBroken, CHAT_TEMPLATE, error.to_string());
    }
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
