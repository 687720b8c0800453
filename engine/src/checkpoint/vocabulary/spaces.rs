//! What a `tokenizer.json` does to the spaces of a text before pieces are joined.

use serde_json::Value;

use super::pieces::SPACE;
use crate::checkpoint::json::Node;
use crate::refusal::{Code, Refusal};

/// Whether a text gets a space in front. Steps other than that and the mark that stands for a space
/// are refused: pieces with scores know none.
pub fn prefix(root: &Node) -> Result<bool, Refusal> {
    let mut found = false;
    for (key, list) in [
        ("normalizer", "normalizers"),
        ("pre_tokenizer", "pretokenizers"),
    ] {
        let Some(node) = root.get(key) else {
            continue;
        };
        let inner = node.value.get(list).and_then(Value::as_array);
        let steps = inner.map_or(std::slice::from_ref(node.value), Vec::as_slice);
        for step in steps {
            found |= step_prefixes(step).ok_or_else(|| {
                let rule = "Prepend, Replace or Metaspace, of which texts become pieces";
                node.refuse(Code::UnknownTokenizer, rule, step)
            })?;
        }
    }
    Ok(found)
}

/// Whether a step puts a space in front; none of what is no such step.
fn step_prefixes(step: &Value) -> Option<bool> {
    let text = |key: &str| step.get(key).and_then(Value::as_str);
    let is_space = |key: &str| text(key) == Some(SPACE);
    match text("type")? {
        "Prepend" if is_space("prepend") => Some(true),
        "Replace" => {
            let pattern = step
                .get("pattern")
                .and_then(|pattern| pattern.get("String"));
            (pattern.and_then(Value::as_str) == Some(" ") && is_space("content")).then_some(false)
        }
        // Words that are split would not join across spaces, which pieces do.
        "Metaspace" if is_space("replacement") => {
            let whole = step.get("split").and_then(Value::as_bool) == Some(false);
            whole.then(|| text("prepend_scheme") != Some("never"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(root: Value) -> Result<bool, Refusal> {
        let path = "tokenizer.json".to_owned();
        prefix(&Node { path, value: &root })
    }

    #[test]
    fn both_ways_to_write_a_space_in_front_are_read() {
        let replace = json!({ "type": "Replace", "pattern": { "String": " " }, "content": SPACE });
        let prepend = json!({ "type": "Prepend", "prepend": SPACE });
        let both = json!({ "type": "Sequence", "normalizers": [prepend, replace] });
        let metaspace = |scheme: &str, split: bool| {
            json!({
                "type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": split,
            })
        };
        for (root, expected) in [
            (
                json!({ "normalizer": both, "pre_tokenizer": null }),
                Some(true),
            ),
            (json!({ "normalizer": replace }), Some(false)),
            (
                json!({ "pre_tokenizer": metaspace("first", false) }),
                Some(true),
            ),
            (
                json!({ "pre_tokenizer": metaspace("never", false) }),
                Some(false),
            ),
            (json!({ "pre_tokenizer": metaspace("first", true) }), None),
            (json!({ "normalizer": { "type": "NFKC" } }), None),
            (json!({}), Some(false)),
        ] {
            let found = asked(root.clone());
            assert_eq!(found.as_ref().ok(), expected.as_ref(), "{root}: {found:?}");
        }
    }
}
