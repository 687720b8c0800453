//! The vocabulary of a checkpoint as the keys of a GGUF file: tokens, merges or scores, special
//! tokens, word rules and the chat template.

mod pieces;
mod protobuf;
mod spaces;

use std::path::Path;

use serde_json::Value;

use super::json::{Json, Node};
use super::word_rules;
use crate::gguf::writer::Field;
use crate::refusal::{Code, Refusal};
use crate::tokenizer::{TokenKind, adds_bos};

use pieces::Pieces;

const FILE: &str = "tokenizer.json";
const SETTINGS: &str = "tokenizer_config.json";
const ADDED: &str = "added_tokens.json";
const TEMPLATE: &str = "chat_template.jinja";

/// The files there may be.
pub const FILES: [&str; 5] = [FILE, pieces::FILE, SETTINGS, ADDED, TEMPLATE];

/// The score of a token that nothing joins to.
const NEVER: f32 = -10_000.0;
/// Special tokens as checkpoints call them and as GGUF files do.
const ROLES: [(&str, &str); 4] = [
    ("bos", "bos"),
    ("eos", "eos"),
    ("unk", "unknown"),
    ("pad", "padding"),
];

/// The files that describe a tokenizer.
pub struct Vocabulary {
    algorithm: Algorithm,
    settings: Option<Json>,
    added: Option<Json>,
    template: Option<String>,
}

/// How text becomes tokens.
enum Algorithm {
    /// Byte-level merging.
    Bytes(Json),
    /// Pieces with scores, and what a fast tokenizer says beside them.
    Pieces(Pieces, Option<Json>),
}

/// Tokens by their ids.
type Table = Vec<Option<(String, TokenKind)>>;

impl Vocabulary {
    /// Reads them.
    pub fn read(folder: &Path) -> Result<Self, Refusal> {
        Ok(Vocabulary {
            algorithm: Algorithm::read(folder)?,
            settings: Json::read(folder, SETTINGS)?,
            added: Json::read(folder, ADDED)?,
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
        let table = self.tokens(size)?;
        let pre = self.algorithm.word_rules(pre)?;
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
        for (role, key) in ROLES {
            let token = match self.role(config, role, find)? {
                None => self.algorithm.role(key),
                token => token,
            };
            roles.extend(token.map(|token| (format!("{key}_token_id"), token)));
        }
        let mut keys: Vec<(String, Field)> = Vec::new();
        let mut set = |key: &str, value| keys.push((format!("tokenizer.ggml.{key}"), value));
        set("model", self.algorithm.name().into());
        set("pre", pre.into());
        set("tokens", texts.into());
        match &self.algorithm {
            Algorithm::Bytes(json) => {
                set("token_type", kinds.into());
                let joined = merges(json)?
                    .into_iter()
                    .map(|(left, right)| left + " " + &right);
                set("merges", joined.collect::<Vec<String>>().into());
            }
            Algorithm::Pieces(pieces, _) => {
                let score = |id: usize| pieces.pieces.get(id).map_or(NEVER, |piece| piece.score);
                set("scores", (0..size).map(score).collect::<Vec<f32>>().into());
                set("token_type", kinds.into());
                if !pieces.space_prefix {
                    set("add_space_prefix", false.into());
                }
            }
        }
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
    fn tokens(&self, size: usize) -> Result<Table, Refusal> {
        let mut table: Table = vec![None; size];
        match &self.algorithm {
            Algorithm::Bytes(json) => spread(json, &mut table)?,
            Algorithm::Pieces(pieces, _) => pieces.spread(&mut table)?,
        }
        let root = self.algorithm.json().map(Json::node);
        let listed = root.and_then(|root| root.get("added_tokens"));
        let listed = listed.map(|node| node.items()).transpose()?;
        for token in listed.into_iter().flatten() {
            add(&mut table, &token.need("id", "a token")?, &token)?;
        }
        if matches!(self.algorithm, Algorithm::Bytes(_)) {
            return Ok(table);
        }
        let added = self.added.as_ref().map(Json::node);
        for (text, id) in added
            .iter()
            .flat_map(|node| node.value.as_object())
            .flatten()
        {
            let path = format!("{ADDED}.\"{text}\"");
            let place = place(&mut table, &Node { path, value: id })?;
            *place = Some((text.clone(), TokenKind::UserDefined));
        }
        let settings = self.settings.as_ref().map(Json::node);
        let decoder = settings.and_then(|node| node.get("added_tokens_decoder"));
        if let Some(decoder) = decoder {
            for (id, value) in decoder.fields()? {
                let path = format!("{}.\"{id}\"", decoder.path);
                let number = Value::from(id.parse::<u32>().ok());
                let at = Node {
                    path: path.clone(),
                    value: &number,
                };
                add(&mut table, &at, &Node { path, value })?;
            }
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
        let root = self.algorithm.json().map(Json::node);
        let processor = root.as_ref().and_then(|root| root.get("post_processor"));
        if processor.is_some_and(|node| begins_with_special(node.value)) {
            return Ok(Some(true));
        }
        Ok(match &self.algorithm {
            Algorithm::Bytes(_) => adds_bos(pre).then_some(true),
            // Loaders add one before pieces unless they are told not to.
            Algorithm::Pieces(..) => root.map(|_| false),
        })
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

impl Algorithm {
    /// Where both files are there, the byte-level one counts, and of two that write unknown text
    /// as its bytes that with the scores.
    fn read(folder: &Path) -> Result<Self, Refusal> {
        let Some(json) = Json::read(folder, FILE)? else {
            let pieces = Pieces::read(folder)?.ok_or_else(|| {
                let place = folder.display().to_string();
                let rule = format!("{FILE} or {}", pieces::FILE);
                let refusal = Refusal::new(Code::TokenizerMissing, place, rule, "no such file");
                refusal.hint("copy it from the base model")
            })?;
            return Ok(Algorithm::Pieces(pieces, None));
        };
        let model = json.node().need("model", "a tokenizer's model")?;
        let kind = model.get("type").map_or(Ok("BPE"), |node| node.text())?;
        if kind != "BPE" {
            let refusal = model.refuse(Code::UnknownTokenizer, "BPE", format!("{kind:?}"));
            return Err(refusal.hint("only vocabularies of that kind are converted"));
        }
        let in_bytes = model.get("byte_fallback").map(|node| node.bool());
        if in_bytes.transpose()? != Some(true) {
            return Ok(Algorithm::Bytes(json));
        }
        let pieces = match Pieces::read(folder)? {
            Some(pieces) => pieces,
            None => Pieces::of_merges(&json.node(), &merges(&json)?)?,
        };
        Ok(Algorithm::Pieces(pieces, Some(json)))
    }

    /// What loaders call it.
    fn name(&self) -> &'static str {
        match self {
            Algorithm::Bytes(_) => "gpt2",
            Algorithm::Pieces(..) => "llama",
        }
    }

    fn json(&self) -> Option<&Json> {
        match self {
            Algorithm::Bytes(json) => Some(json),
            Algorithm::Pieces(_, json) => json.as_ref(),
        }
    }

    /// A special token that the pieces themselves name.
    fn role(&self, key: &str) -> Option<u32> {
        let Algorithm::Pieces(pieces, _) = self else {
            return None;
        };
        let role = pieces.roles.iter().find(|(role, _)| *role == key);
        role.map(|(_, token)| *token)
    }

    /// The name of its word rules, which only byte-level merging has.
    fn word_rules<'n>(&self, said: Option<&'n str>) -> Result<&'n str, Refusal> {
        match (self, said) {
            (Algorithm::Bytes(_), Some(said)) => Ok(said),
            (Algorithm::Bytes(json), None) => {
                word_rules::name(json.node().get("pre_tokenizer").as_ref(), FILE)
            }
            (Algorithm::Pieces(..), None) => Ok("default"),
            (Algorithm::Pieces(..), Some(said)) => {
                let rule = "no word rules: pieces with scores are joined without";
                Err(Refusal::new(Code::UnknownPretokenizer, "--pre", rule, said))
            }
        }
    }
}

/// The tokens of a byte-level vocabulary, each at its place.
fn spread(json: &Json, table: &mut Table) -> Result<(), Refusal> {
    let model = json.node().need("model", "a tokenizer's model")?;
    let vocab = model.need("vocab", "an object of tokens")?;
    for (text, id) in vocab.fields()? {
        let node = Node {
            path: format!("{}.\"{text}\"", vocab.path),
            value: id,
        };
        let place = place(table, &node)?;
        if let Some((other, _)) = place {
            let found = format!("{} as of \"{other}\"", node.shown());
            return Err(node.refuse(Code::VocabDuplicate, "an id of its own", found));
        }
        *place = Some((text.clone(), TokenKind::Normal));
    }
    Ok(())
}

/// Puts a token that was added to its place. The unknown one stays what it is.
fn add(table: &mut Table, id: &Node, token: &Node) -> Result<(), Refusal> {
    let text = token.need("content", "a text")?.text()?;
    let special = token.get("special").map_or(Ok(false), |node| node.bool())?;
    let kind = if special {
        TokenKind::Control
    } else {
        TokenKind::UserDefined
    };
    let place = place(table, id)?;
    let stays = |(known, kind): &(String, TokenKind)| {
        known == text && matches!(kind, TokenKind::Unknown | TokenKind::Byte)
    };
    if !place.as_ref().is_some_and(stays) {
        *place = Some((text.to_owned(), kind));
    }
    Ok(())
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

/// The two parts of each merge, however the file writes them.
fn merges(json: &Json) -> Result<Vec<(String, String)>, Refusal> {
    let merge = |node: Node| {
        let parts = match node.value {
            Value::String(both) => both.split_once(' '),
            Value::Array(parts) => match &parts[..] {
                [Value::String(left), Value::String(right)] => Some((&left[..], &right[..])),
                _ => None,
            },
            _ => None,
        };
        let parts = parts.map(|(left, right)| (left.to_owned(), right.to_owned()));
        parts.ok_or_else(|| node.refuse(Code::VocabInvalid, "two texts", node.shown()))
    };
    let model = json.node().need("model", "a tokenizer's model")?;
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
