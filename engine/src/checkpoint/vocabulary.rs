//! The vocabulary of a checkpoint as the keys of a GGUF file: tokens, merges, special tokens, word
//! rules and the chat template.

use std::path::Path;

use serde_json::Value;

use super::json::{Json, Node};
use super::word_rules;
use crate::gguf::writer::Field;
use crate::refusal::{Code, Refusal};
use crate::tokenizer::{TokenKind, adds_bos};

const FILE: &str = "tokenizer.json";
const SETTINGS: &str = "tokenizer_config.json";
const TEMPLATE: &str = "chat_template.jinja";

/// The files there may be.
pub const FILES: [&str; 3] = [FILE, SETTINGS, TEMPLATE];

/// The files that describe a tokenizer.
pub struct Vocabulary {
    tokenizer: Json,
    settings: Option<Json>,
    template: Option<String>,
}

/// Tokens by their ids.
type Table = Vec<Option<(String, TokenKind)>>;

impl Vocabulary {
    /// Reads them.
    pub fn read(folder: &Path) -> Result<Self, Refusal> {
        let tokenizer = Json::read(folder, FILE)?.ok_or_else(|| {
            let place = folder.display().to_string();
            let other = folder.join("tokenizer.model").exists();
            let found = if other {
                "tokenizer.model alone"
            } else {
                "no such file"
            };
            let refusal = Refusal::new(Code::TokenizerMissing, place, FILE, found);
            refusal.hint("save the tokenizer in the fast form, or copy it from the base model")
        })?;
        Ok(Vocabulary {
            tokenizer,
            settings: Json::read(folder, SETTINGS)?,
            template: std::fs::read_to_string(folder.join(TEMPLATE)).ok(),
        })
    }

    /// The keys, for a model of `size` tokens; `pre` overrides the word rules.
    pub fn keys(
        &self,
        config: &Node,
        size: usize,
        pre: Option<&str>,
    ) -> Result<Vec<(String, Field)>, Refusal> {
        let root = self.tokenizer.node();
        let model = root.need("model", "a tokenizer's model")?;
        let kind = model.get("type").map_or(Ok("BPE"), |node| node.text())?;
        let byte_fallback = model.get("byte_fallback").map(|node| node.bool());
        if kind != "BPE" || byte_fallback.transpose()? == Some(true) {
            let rule = "byte-level BPE";
            let refusal = model.refuse(Code::UnknownTokenizer, rule, format!("{kind:?}"));
            return Err(refusal.hint("only vocabularies of that kind are converted"));
        }
        let table = self.tokens(&model, size)?;
        let pre = match pre {
            Some(pre) => pre,
            None => word_rules::name(root.get("pre_tokenizer").as_ref(), FILE)?,
        };
        let mut keys: Vec<(String, Field)> = Vec::new();
        let mut set = |key: &str, value| keys.push((format!("tokenizer.ggml.{key}"), value));
        set("model", "gpt2".into());
        set("pre", pre.into());
        let (texts, kinds): (Vec<String>, Vec<i32>) = table
            .into_iter()
            .enumerate()
            .map(|(id, token)| {
                token.map_or_else(
                    || (format!("[PAD{id}]"), TokenKind::Unused.id()),
                    |(text, kind)| (text, kind.id()),
                )
            })
            .unzip();
        let find = |text: &str| texts.iter().position(|token| token == text);
        let mut roles = Vec::new();
        for (role, key) in [("bos", "bos"), ("eos", "eos"), ("pad", "padding")] {
            let token = self.role(config, role, find)?;
            roles.extend(token.map(|token| (format!("{key}_token_id"), token)));
        }
        set("tokens", texts.into());
        set("token_type", kinds.into());
        set("merges", merges(&model)?.into());
        for (key, token) in roles {
            set(&key, token.into());
        }
        if let Some(adds) = self.adds_bos(pre)? {
            set("add_bos_token", adds.into());
        }
        if let Some(template) = self.template()? {
            keys.push(("tokenizer.chat_template".into(), template.as_str().into()));
        }
        Ok(keys)
    }

    /// Every token at its place: what is in the vocabulary, and over it what was added.
    fn tokens(&self, model: &Node, size: usize) -> Result<Table, Refusal> {
        let vocab = model.need("vocab", "an object of tokens")?;
        let mut table: Table = vec![None; size];
        for (text, id) in vocab.fields()? {
            let node = Node {
                path: format!("{}.\"{text}\"", vocab.path),
                value: id,
            };
            let place = place(&mut table, &node)?;
            if let Some((other, _)) = place {
                let found = format!("{} as of \"{other}\"", node.shown());
                return Err(node.refuse(Code::VocabDuplicate, "an id of its own", found));
            }
            *place = Some((text.clone(), TokenKind::Normal));
        }
        let root = self.tokenizer.node();
        let added = root.get("added_tokens").map(|node| node.items());
        for token in added.transpose()?.into_iter().flatten() {
            let text = token.need("content", "a text")?.text()?.to_owned();
            let special = token.get("special").map_or(Ok(false), |node| node.bool())?;
            let kind = if special {
                TokenKind::Control
            } else {
                TokenKind::UserDefined
            };
            *place(&mut table, &token.need("id", "a token")?)? = Some((text, kind));
        }
        Ok(table)
    }

    /// A special token: the configuration's id, or the text that the settings give.
    fn role(
        &self,
        config: &Node,
        role: &str,
        find: impl Fn(&str) -> Option<usize>,
    ) -> Result<Option<u32>, Refusal> {
        if let Some(node) = config.get(&format!("{role}_token_id")) {
            // Several may end a text; the first is the one that does by default.
            let first = node.value.as_array().and_then(|list| list.first());
            let value = first.unwrap_or(node.value);
            let path = node.path.clone();
            return Node { path, value }.token().map(Some);
        }
        let settings = self.settings.as_ref().map(Json::node);
        let node = settings.and_then(|node| node.get(&format!("{role}_token")));
        let Some(node) = node else {
            return Ok(None);
        };
        let text = match node.get("content") {
            Some(content) => content.text()?,
            None => node.text()?,
        };
        let found = find(text).ok_or_else(|| {
            let rule = "a token of the vocabulary";
            node.refuse(Code::VocabInvalid, rule, format!("{text:?}"))
        })?;
        Ok(Some(found as u32))
    }

    /// Whether a text begins with the first special token: as the settings say, as the
    /// post-processor does it, or as the word rules have it.
    fn adds_bos(&self, pre: &str) -> Result<Option<bool>, Refusal> {
        let settings = self.settings.as_ref().map(Json::node);
        if let Some(node) = settings.and_then(|node| node.get("add_bos_token")) {
            return node.bool().map(Some);
        }
        let root = self.tokenizer.node();
        let processor = root.get("post_processor");
        if processor.is_some_and(|node| begins_with_special(node.value)) {
            return Ok(Some(true));
        }
        Ok(adds_bos(pre).then_some(true))
    }

    fn template(&self) -> Result<Option<String>, Refusal> {
        if let Some(template) = &self.template {
            return Ok(Some(template.clone()));
        }
        let settings = self.settings.as_ref().map(Json::node);
        let Some(node) = settings.and_then(|node| node.get("chat_template")) else {
            return Ok(None);
        };
        // Several templates have names; the default one is meant.
        let Some(list) = node.value.as_array() else {
            return node.text().map(|text| Some(text.to_owned()));
        };
        let is_default = |one: &&Value| one.get("name").and_then(Value::as_str) == Some("default");
        let default = list
            .iter()
            .find(is_default)
            .and_then(|one| one.get("template"));
        Ok(default.and_then(Value::as_str).map(str::to_owned))
    }
}

fn place<'t>(
    table: &'t mut Table,
    node: &Node,
) -> Result<&'t mut Option<(String, TokenKind)>, Refusal> {
    let size = table.len();
    let id = node.token()?;
    table.get_mut(id as usize).ok_or_else(|| {
        let rule = format!("a token below the configuration's vocab_size, {size}");
        node.refuse(Code::VocabSizeMismatch, rule, id)
    })
}

/// Merges as two texts with a space between them, however the file writes them.
fn merges(model: &Node) -> Result<Vec<String>, Refusal> {
    let merge = |node: Node| match node.value {
        Value::String(both) => Ok(both.clone()),
        Value::Array(parts) => match &parts[..] {
            [Value::String(left), Value::String(right)] => Ok(format!("{left} {right}")),
            _ => Err(node.refuse(Code::VocabInvalid, "two texts", node.shown())),
        },
        _ => Err(node.refuse(Code::VocabInvalid, "two texts", node.shown())),
    };
    let merges = model.need("merges", "an array of merges")?;
    merges.items()?.map(merge).collect()
}

/// Whether a template puts a special token in front of a single text.
fn begins_with_special(processor: &Value) -> bool {
    if let Some(inner) = processor.get("processors").and_then(Value::as_array) {
        return inner.iter().any(begins_with_special);
    }
    let first = processor.get("single").and_then(|single| single.get(0));
    first.is_some_and(|first| first.get("SpecialToken").is_some())
}
