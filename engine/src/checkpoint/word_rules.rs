//! Which word rules a tokenizer cuts text by, told from the steps its file lists.

use serde_json::Value;

use super::json::Node;
use crate::refusal::{Code, Refusal};

/// Steps in order, and what a GGUF file calls them together. A step is its kind and what of its
/// settings decides the words.
const KNOWN: [(&[&str], &str); 6] = [
    (&[LLAMA3, "bytes"], "llama-bpe"),
    (&[QWEN2, "bytes"], "qwen2"),
    (&["bytes and words"], "gpt-2"),
    (&["each digit", "bytes and words"], "starcoder"),
    (
        &[
            "punctuation",
            "bytes and words",
            "digits",
            "split [0-9][0-9][0-9]",
        ],
        "falcon",
    ),
    (&["punctuation", "bytes and words", "each digit"], "falcon3"),
];

const LLAMA3: &str = "split (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\
    \\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const QWEN2: &str = "split (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\
    \\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/// The name of the word rules of a `pre_tokenizer`.
pub fn name(pre_tokenizer: Option<&Node>, file: &str) -> Result<&'static str, Refusal> {
    let field = format!("{file}.pre_tokenizer");
    let mut steps = Vec::new();
    if let Some(node) = pre_tokenizer {
        collect(node.value, &mut steps);
    }
    let known = KNOWN.iter().find(|(known, _)| *known == steps);
    known.map(|(_, name)| *name).ok_or_else(|| {
        let names = KNOWN.map(|(_, name)| name).join(", ");
        let refusal = Refusal::new(
            Code::UnknownPretokenizer,
            field,
            format!("the steps of {names}"),
            steps.join(", then "),
        );
        refusal.hint("say --pre NAME if you know which word rules these are")
    })
}

fn collect(step: &Value, steps: &mut Vec<String>) {
    let text = |key: &str| step.get(key).and_then(Value::as_str);
    let switch = |key: &str, default| step.get(key).and_then(Value::as_bool).unwrap_or(default);
    let described = match text("type") {
        Some("Sequence") => {
            let inner = step.get("pretokenizers").and_then(Value::as_array);
            return inner
                .into_iter()
                .flatten()
                .for_each(|step| collect(step, steps));
        }
        Some("ByteLevel") if switch("use_regex", true) => "bytes and words".into(),
        Some("ByteLevel") => "bytes".into(),
        Some("Digits") if switch("individual_digits", false) => "each digit".into(),
        Some("Digits") => "digits".into(),
        Some("Punctuation") => "punctuation".into(),
        Some("Split") => {
            let pattern = step.get("pattern").and_then(|pattern| pattern.get("Regex"));
            let pattern = pattern.and_then(Value::as_str).unwrap_or("by a fixed text");
            format!("split {pattern}")
        }
        other => format!("{other:?}"),
    };
    steps.push(described);
}
