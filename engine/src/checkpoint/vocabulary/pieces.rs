//! Vocabularies of SentencePiece: pieces with scores, from its own `tokenizer.model`, or from a
//! `tokenizer.json` whose merges say the same.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::path::Path;

use super::protobuf::{Message, Value};
use super::{Table, spaces};
use crate::bytes::regular_file;
use crate::checkpoint::json::Node;
use crate::refusal::{Code, Refusal};
use crate::tokenizer::TokenKind;

/// The file that SentencePiece writes.
pub const FILE: &str = "tokenizer.model";
/// What stands for a space in pieces.
pub const SPACE: &str = "\u{2581}";
/// The largest there are take a tenth of this.
const LIMIT: u64 = 64 << 20;

/// A piece of text.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    pub text: String,
    /// The higher, the earlier its parts are joined.
    pub score: f32,
    pub kind: TokenKind,
}

/// Pieces, and what belongs to them.
#[derive(Debug, Clone, PartialEq)]
pub struct Pieces {
    /// By their ids.
    pub pieces: Vec<Piece>,
    /// The special ones, by role, where there are any.
    pub roles: Vec<(&'static str, u32)>,
    /// Whether a text begins as if a space came before.
    pub space_prefix: bool,
}

impl Pieces {
    /// Reads the file; `None` where there is none.
    pub fn read(folder: &Path) -> Result<Option<Self>, Refusal> {
        let unreadable = |e| Refusal::new(Code::Io, FILE, "a readable file", e);
        let Some(file) = regular_file(&folder.join(FILE), FILE)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let limited = file.take(LIMIT + 1).read_to_end(&mut bytes);
        limited.map_err(unreadable)?;
        if bytes.len() as u64 > LIMIT {
            let rule = format!("at most {LIMIT} bytes");
            return Err(Refusal::new(Code::VocabInvalid, FILE, rule, "more"));
        }
        Self::parse(&bytes).map(Some)
    }

    /// Takes the bytes of the file apart.
    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut pieces = Vec::new();
        // What a file of the trainer that leaves everything out means.
        let mut kind = 1;
        let mut roles = [("unknown", 0), ("bos", 1), ("eos", 2), ("padding", -1)];
        let mut space_prefix = true;
        for field in Message::of_file(FILE, bytes).fields() {
            match field? {
                (1, Value::Bytes(message)) => pieces.push(piece(message)?),
                (2, Value::Bytes(trainer)) => {
                    for field in trainer.fields() {
                        match field? {
                            (3, Value::Number(number)) => kind = number,
                            (24, Value::Number(1)) => {
                                return Err(other("spaces at the end of pieces"));
                            }
                            (at @ 40..=43, Value::Number(id)) => {
                                roles[at as usize - 40].1 = id as i64;
                            }
                            _ => {}
                        }
                    }
                }
                (3, Value::Bytes(normaliser)) => {
                    space_prefix = normalises(normaliser)?;
                }
                _ => {}
            }
        }
        const KINDS: [&str; 4] = ["unigram", "bpe", "word", "char"];
        if kind != 2 {
            let name = (kind as usize).checked_sub(1).and_then(|at| KINDS.get(at));
            return Err(other(&format!(
                "a model of kind {}",
                name.unwrap_or(&"unknown")
            )));
        }
        let roles = roles.into_iter();
        let roles = roles.filter_map(|(role, id)| Some((role, u32::try_from(id).ok()?)));
        let pieces = Pieces {
            pieces,
            roles: roles.collect(),
            space_prefix,
        };
        pieces.checked()
    }

    /// From the merges of a `tokenizer.json` that writes what joins to no token as its bytes: the
    /// earlier the merge, the higher the score of what it makes.
    pub fn of_merges(root: &Node, merges: &[(String, String)]) -> Result<Self, Refusal> {
        let space_prefix = spaces::prefix(root)?;
        let model = &root.need("model", "a tokenizer's model")?;
        let vocab = model.need("vocab", "an object of tokens")?;
        let fields = vocab.fields()?;
        let order = order(model, merges)?;
        let unknown = model.get("unk_token").map(|node| node.text()).transpose()?;
        let made = order.len();
        let mut pieces = vec![None; fields.len()];
        for (text, id) in fields {
            let node = Node {
                path: format!("{}.\"{text}\"", vocab.path),
                value: id,
            };
            let id = node.token()?;
            let kind = if unknown == Some(text) {
                TokenKind::Unknown
            } else if is_byte(text) {
                TokenKind::Byte
            } else {
                TokenKind::Normal
            };
            let place = pieces.get_mut(id as usize).filter(|place| place.is_none());
            let place = place.ok_or_else(|| {
                let rule = format!("ids of 0..{}, each once", fields.len());
                node.refuse(Code::VocabInvalid, rule, id)
            })?;
            let rank = order.get(text).copied().unwrap_or(made + id as usize);
            *place = Some(Piece {
                text: text.clone(),
                score: -(rank as f32),
                kind,
            });
        }
        let pieces: Vec<Piece> = pieces.into_iter().flatten().collect();
        every_split_is_a_merge(model, &pieces, merges)?;
        let unknown = pieces
            .iter()
            .position(|piece| piece.kind == TokenKind::Unknown);
        let pieces = Pieces {
            pieces,
            roles: unknown
                .map(|at| ("unknown", at as u32))
                .into_iter()
                .collect(),
            space_prefix,
        };
        pieces.checked()
    }

    /// Each at its place. Spaces of what is looked for in the text itself are spaces there.
    pub fn spread(&self, table: &mut Table) -> Result<(), Refusal> {
        if self.pieces.len() > table.len() {
            let rule = format!("at most {}, the configuration's vocab_size", table.len());
            let found = format!("{} pieces", self.pieces.len());
            return Err(Refusal::new(Code::VocabSizeMismatch, FILE, rule, found));
        }
        for (place, piece) in table.iter_mut().zip(&self.pieces) {
            let text = match piece.kind {
                TokenKind::UserDefined => piece.text.replace(SPACE, " "),
                _ => piece.text.clone(),
            };
            *place = Some((text, piece.kind));
        }
        Ok(())
    }

    /// What joins to no piece is written as bytes, so each needs its own.
    fn checked(self) -> Result<Self, Refusal> {
        let bytes = self
            .pieces
            .iter()
            .filter(|piece| piece.kind == TokenKind::Byte);
        let bytes: HashSet<&str> = bytes.map(|piece| piece.text.as_str()).collect();
        match (0..=u8::MAX).find(|byte| !bytes.contains(&*byte_text(*byte))) {
            None => Ok(self),
            Some(byte) => Err(Refusal::new(
                Code::VocabNoByteTokens,
                FILE,
                "a piece for each of the 256 bytes (byte_fallback)",
                format!("none for {}", byte_text(byte)),
            )),
        }
    }
}

/// What merges make, in their order. All that make the same must follow each other: pieces have
/// one score.
fn order(model: &Node, merges: &[(String, String)]) -> Result<HashMap<String, usize>, Refusal> {
    let mut order = HashMap::new();
    let mut last = String::new();
    for (left, right) in merges {
        let whole = format!("{left}{right}");
        let rank = order.len();
        if order.contains_key(&whole) && whole != last {
            let rule = "merges in the order of what they make, as scores have it";
            let found = format!("{left:?} and {right:?} apart from others that make the same");
            return Err(model.refuse(Code::UnknownTokenizer, rule, found));
        }
        order.entry(whole.clone()).or_insert(rank);
        last = whole;
    }
    Ok(order)
}

/// Scores join any two pieces that are one together; merges only those that are listed.
fn every_split_is_a_merge(
    model: &Node,
    pieces: &[Piece],
    merges: &[(String, String)],
) -> Result<(), Refusal> {
    let normal = pieces
        .iter()
        .filter(|piece| piece.kind == TokenKind::Normal);
    let known: HashSet<&str> = normal.map(|piece| piece.text.as_str()).collect();
    let listed: HashSet<(&str, &str)> = merges.iter().map(|(l, r)| (&**l, &**r)).collect();
    for whole in &known {
        for (at, _) in whole.char_indices().skip(1) {
            let (left, right) = whole.split_at(at);
            let joins = known.contains(left) && known.contains(right);
            if joins && !listed.contains(&(left, right)) {
                let rule = "a merge of every two tokens that are one together, as scores have it";
                let found = format!("none of {left:?} and {right:?}");
                return Err(model.refuse(Code::UnknownTokenizer, rule, found));
            }
        }
    }
    Ok(())
}

fn piece(message: Message) -> Result<Piece, Refusal> {
    let mut piece = Piece {
        text: String::new(),
        score: 0.0,
        kind: TokenKind::Normal,
    };
    for field in message.fields() {
        match field? {
            (1, Value::Bytes(text)) => piece.text = text.text()?.to_owned(),
            (2, Value::Fixed(score)) => piece.score = f32::from_le_bytes(score),
            (3, Value::Number(kind)) => {
                let known = TokenKind::of_id(kind).filter(|kind| *kind != TokenKind::Undefined);
                piece.kind = known.ok_or_else(|| message.refuse(0, "a type of 1..=6", kind))?;
            }
            _ => {}
        }
    }
    if piece.text.is_empty() || piece.score.is_nan() {
        let found = format!("{:?} with a score of {}", piece.text, piece.score);
        return Err(message.refuse(0, "a text and a score", found));
    }
    Ok(piece)
}

/// Whether a text gets a space in front. Everything else that would be done to it is refused.
fn normalises(message: Message) -> Result<bool, Refusal> {
    let (mut space_prefix, mut collapses) = (true, true);
    for field in message.fields() {
        match field? {
            (2, Value::Bytes(map)) if !map.bytes.is_empty() => {
                return Err(other("a map that changes characters before they are split"));
            }
            (3, Value::Number(switch)) => space_prefix = switch == 1,
            (4, Value::Number(switch)) => collapses = switch == 1,
            (5, Value::Number(0)) => return Err(other("spaces that stay spaces")),
            _ => {}
        }
    }
    if collapses {
        return Err(other("spaces that are removed (remove_extra_whitespaces)"));
    }
    Ok(space_prefix)
}

/// How a byte is written.
fn byte_text(byte: u8) -> String {
    format!("<0x{byte:02X}>")
}

fn is_byte(text: &str) -> bool {
    let digits = text
        .strip_prefix("<0x")
        .and_then(|rest| rest.strip_suffix('>'));
    digits.is_some_and(|digits| {
        u8::from_str_radix(digits, 16).is_ok_and(|byte| byte_text(byte) == text)
    })
}

fn other(found: &str) -> Refusal {
    let rule = "byte-pair merging of a text as it is, which is what loaders do";
    Refusal::new(Code::UnknownTokenizer, FILE, rule, found)
}
