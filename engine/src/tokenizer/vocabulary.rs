//! The tokens of a GGUF file: text, kind and score of each, found by id and by text.
#![forbid(unsafe_code)]

use std::fmt::Display;

use super::texts::Texts;
use crate::Token;
use crate::gguf::{Array, Metadata, Warning};
use crate::refusal::{Code, Refusal};

const TOKENS: &str = "tokenizer.ggml.tokens";
const KINDS: &str = "tokenizer.ggml.token_type";
const SCORES: &str = "tokenizer.ggml.scores";

/// Numbers of tokens, and of what merging them can build, add up below `u32::MAX`.
pub(super) const MOST_STRINGS: u64 = 1 << 30;

/// What a token is for, as the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Nothing was said about it, in a file that says it of others.
    Undefined,
    /// A piece of text.
    Normal,
    /// What stands for text the vocabulary cannot express.
    Unknown,
    /// A mark that is no text, such as the end of a turn.
    Control,
    /// A piece of text that is found before anything else is split.
    UserDefined,
    /// A place in the table that nothing uses.
    Unused,
    /// One byte.
    Byte,
}

impl TokenKind {
    /// All of them; the position is the number that files write.
    const ALL: [TokenKind; 7] = [
        TokenKind::Undefined,
        TokenKind::Normal,
        TokenKind::Unknown,
        TokenKind::Control,
        TokenKind::UserDefined,
        TokenKind::Unused,
        TokenKind::Byte,
    ];

    /// The number that files write.
    pub fn id(self) -> i32 {
        self as i32
    }

    /// What a number stands for in files, if it stands for something.
    pub fn of_id(number: impl TryInto<usize>) -> Option<Self> {
        Self::ALL.get(number.try_into().ok()?).copied()
    }
}

/// The tokens.
pub(super) struct Vocabulary {
    texts: Texts,
    kinds: Vec<TokenKind>,
    /// Scores by id; empty where all are 0 or nobody asks.
    scores: Vec<f32>,
}

impl Vocabulary {
    /// Reads the token table; scores are kept only where the algorithm uses them.
    pub(super) fn read(
        metadata: &Metadata,
        keep_scores: bool,
        warnings: &mut Vec<Warning>,
    ) -> Result<Self, Refusal> {
        let Some(tokens) = metadata.array(TOKENS)? else {
            return Err(metadata.missing(TOKENS, "the vocabulary"));
        };
        if tokens.len == 0 || tokens.len > MOST_STRINGS {
            let rule = format!("1..={MOST_STRINGS} tokens");
            return Err(metadata.refuse(Code::VocabInvalid, TOKENS, rule, tokens.len));
        }
        let texts = read_texts(metadata, tokens, warnings)?;
        Ok(Vocabulary {
            kinds: read_kinds(metadata, texts.len())?,
            scores: read_scores(metadata, texts.len(), keep_scores)?,
            texts,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    pub(super) fn text(&self, token: Token) -> Option<&[u8]> {
        self.texts.get(token)
    }

    pub(super) fn find(&self, text: &[u8]) -> Option<Token> {
        self.texts.find(text)
    }

    pub(super) fn kind(&self, token: Token) -> Option<TokenKind> {
        self.kinds.get(token as usize).copied()
    }

    pub(super) fn set_kind(&mut self, token: Token, kind: TokenKind) {
        self.kinds[token as usize] = kind;
    }

    pub(super) fn score(&self, token: Token) -> f32 {
        self.scores.get(token as usize).copied().unwrap_or(0.0)
    }

    pub(super) fn texts(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len() as Token).filter_map(|token| self.texts.get(token))
    }

    /// The tokens of those kinds, in order.
    pub(super) fn of_kinds(&self, kinds: &[TokenKind]) -> Vec<Token> {
        let wanted = |kind: &TokenKind| kinds.contains(kind);
        let mut tokens = Vec::with_capacity(self.kinds.iter().filter(|&kind| wanted(kind)).count());
        let numbered = (0..).zip(&self.kinds);
        tokens.extend(
            numbered
                .filter(|(_, kind)| wanted(kind))
                .map(|(token, _)| token),
        );
        tokens
    }
}

/// A refusal about element `index` of an array of strings, the texts before which take `at` bytes.
pub(super) fn element(
    metadata: &Metadata,
    key: &str,
    index: usize,
    at: u64,
) -> impl Fn(Code, &str, &dyn Display) -> Refusal {
    move |code, expected, found| {
        let mut refusal = metadata.refuse(code, key, expected, found);
        refusal.field = format!("{}[{index}]", refusal.field);
        // The array's element type and length come first.
        refusal.offset = refusal.offset.map(|start| start + 4 + 8 + at);
        refusal
    }
}

fn wrong_elements(metadata: &Metadata, key: &str, array: Array<'_>, expected: &str) -> Refusal {
    let found = format!("an array of {} {}", array.len, array.element_type.name());
    metadata.refuse(Code::WrongKeyType, key, expected, found)
}

fn read_texts(
    metadata: &Metadata,
    array: Array<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<Texts, Refusal> {
    let strings = || {
        array
            .strings()
            .ok_or_else(|| wrong_elements(metadata, TOKENS, array, "an array of strings"))
    };
    let bytes = strings()?.map(<[u8]>::len).sum();
    let mut texts = Texts::with_capacity(array.len as usize, bytes);
    let (mut empty, mut not_utf8) = (Oddity::default(), Oddity::default());
    let mut at = 0;
    for (index, text) in strings()?.enumerate() {
        empty.note(index, text.is_empty());
        not_utf8.note(index, std::str::from_utf8(text).is_err());
        // An empty text would be found everywhere, so it gets a name nobody writes.
        let named = text.is_empty().then(|| format!("[EMPTY_{index}]"));
        let added = texts.add(named.as_deref().map_or(text, str::as_bytes));
        if let Err(first) = added {
            let found = format!("{:?} again, token {first}", String::from_utf8_lossy(text));
            let refusal = element(metadata, TOKENS, index, at);
            return Err(refusal(
                Code::VocabDuplicate,
                "a text no other token has",
                &found,
            ));
        }
        at += 8 + text.len() as u64;
    }
    empty.report("TOKEN_EMPTY", TOKENS, "a token without text", warnings);
    not_utf8.report(
        "TOKEN_NOT_UTF8",
        TOKENS,
        "a token whose text is not UTF-8, kept as raw bytes",
        warnings,
    );
    Ok(texts)
}

fn read_kinds(metadata: &Metadata, count: usize) -> Result<Vec<TokenKind>, Refusal> {
    let Some(array) = metadata.array(KINDS)? else {
        return Ok(vec![TokenKind::Normal; count]);
    };
    same_length(metadata, KINDS, array, count)?;
    let integers = array
        .integers()
        .ok_or_else(|| wrong_elements(metadata, KINDS, array, "an array of integers"))?;
    let mut kinds = Vec::with_capacity(count);
    for (index, number) in integers.enumerate() {
        let Some(kind) = TokenKind::of_id(number) else {
            let at = index as u64 * array.element_type.min_bytes();
            let refusal = element(metadata, KINDS, index, at);
            return Err(refusal(
                Code::VocabInvalid,
                "a token type of 0..=6",
                &number,
            ));
        };
        kinds.push(kind);
    }
    Ok(kinds)
}

fn read_scores(metadata: &Metadata, count: usize, keep: bool) -> Result<Vec<f32>, Refusal> {
    let Some(array) = metadata.array(SCORES)? else {
        return Ok(Vec::new());
    };
    let scores = || {
        array
            .f32s()
            .ok_or_else(|| wrong_elements(metadata, SCORES, array, "an array of float32"))
    };
    let not_a_number = scores()?.position(f32::is_nan);
    same_length(metadata, SCORES, array, count)?;
    if let Some(index) = not_a_number {
        let refusal = element(metadata, SCORES, index, index as u64 * 4);
        return Err(refusal(Code::VocabInvalid, "a number", &"NaN"));
    }
    // Adding 0 turns -0 into 0, so that the two compare as equal in a total order.
    Ok(if keep {
        scores()?.map(|score| score + 0.0).collect()
    } else {
        Vec::new()
    })
}

fn same_length(
    metadata: &Metadata,
    key: &str,
    array: Array<'_>,
    count: usize,
) -> Result<(), Refusal> {
    if array.len == count as u64 {
        return Ok(());
    }
    let rule = format!("{count} elements, one for each token");
    Err(metadata.refuse(Code::VocabInvalid, key, rule, array.len))
}

/// Something odd about elements of an array: how often, and where first.
#[derive(Default)]
pub(super) struct Oddity {
    count: u64,
    first: usize,
}

impl Oddity {
    pub(super) fn note(&mut self, index: usize, is_odd: bool) {
        if is_odd && self.count == 0 {
            self.first = index;
        }
        self.count += u64::from(is_odd);
    }

    pub(super) fn report(
        self,
        name: &'static str,
        key: &str,
        detail: &str,
        warnings: &mut Vec<Warning>,
    ) {
        if self.count > 0 {
            warnings.push(Warning {
                name,
                field: format!("metadata.\"{key}\"[{}]", self.first),
                detail: detail.to_owned(),
                count: self.count,
            });
        }
    }
}
