//! What tokenizers are asked and what they answer: plain data, also on the wire.

use std::fmt;
use std::str::FromStr;

use engine::Token;
use serde::{Deserialize, Serialize};

/// Bytes that need not be UTF-8. On the wire each is the character of the same number; for people
/// they are ASCII with escapes, which [`EscapedBytes::from_str`] reads back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EscapedBytes(pub Vec<u8>);

/// One question. It is answered in four ways, see [`Question::way`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// Which ids is this text?
    Text(EscapedBytes),
    /// Which bytes are these ids?
    Ids(Vec<Token>),
}

/// Ways to answer a question: two switches.
pub const WAYS: usize = 4;

/// The way in which special tokens are added to a text and recognised in it.
pub const ADDED_AND_PARSED: usize = 3;

/// The answer to a question, one for each way.
pub type Answer = [TokenizerReply; WAYS];

/// What was said in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenizerReply {
    /// The ids of a text.
    Ids(Vec<Token>),
    /// The bytes of ids.
    Bytes(EscapedBytes),
    /// That it cannot be answered, and why.
    Refused(String),
    /// Nothing: the question was the death of whoever was asked.
    Died(String),
    /// Nothing: whoever is asked has no such way.
    NotAsked,
}

/// What a vocabulary says of itself as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Number of tokens.
    pub tokens: usize,
    /// The token in front of a text.
    pub bos: Option<Token>,
    /// The token behind a text.
    pub eos: Option<Token>,
    /// Whether the token in front is added; nothing where that is not known.
    pub add_bos: Option<bool>,
    /// Whether the token behind is added; nothing where that is not known.
    pub add_eos: Option<bool>,
}

/// One token of a vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// As the vocabulary spells it.
    pub text: EscapedBytes,
    /// What it is for: the six lowest bits of the library's attributes. What the others do shows
    /// in the ids of texts.
    pub kind: u32,
    /// The bits of its score; 0 where there are no scores.
    pub score: u32,
    /// Whether generation ends here.
    pub ends: bool,
    /// The bytes it stands for, marks hidden.
    pub hidden: EscapedBytes,
    /// The bytes it stands for, marks shown.
    pub shown: EscapedBytes,
}

/// The bits of the library's attributes that [`Entry::kind`] holds.
pub const KIND_BITS: u32 = 0x3f;

impl Question {
    /// What the switches of a way are: for a text, special tokens added and special tokens read in
    /// it; for ids, special tokens shown and spaces cleaned up.
    pub fn switches(way: usize) -> (bool, bool) {
        (way & 1 == 1, way & 2 == 2)
    }

    /// A way in words.
    pub fn way(&self, way: usize) -> &'static str {
        let ways = match self {
            Question::Text(_) => ["plain", "add", "parse", "add and parse"],
            Question::Ids(_) => ["pieces", "pieces, shown", "text", "text, shown"],
        };
        ways[way % WAYS]
    }

    /// The argument of `harness tokenizer` that asks it.
    pub fn argument(&self) -> String {
        match self {
            Question::Text(text) => format!("--text '{text}'"),
            Question::Ids(ids) => {
                let ids: Vec<String> = ids.iter().map(Token::to_string).collect();
                format!("--ids '{}'", ids.join(","))
            }
        }
    }

    /// How long it is, in bytes or ids.
    pub fn len(&self) -> usize {
        match self {
            Question::Text(text) => text.0.len(),
            Question::Ids(ids) => ids.len(),
        }
    }

    /// Whether it asks about nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl TokenizerReply {
    /// How many ids or bytes.
    pub fn len(&self) -> usize {
        match self {
            TokenizerReply::Ids(ids) => ids.len(),
            TokenizerReply::Bytes(bytes) => bytes.0.len(),
            TokenizerReply::Refused(_) | TokenizerReply::Died(_) | TokenizerReply::NotAsked => 0,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Entry {
    /// Appends everything it says, so that two lists of entries are equal exactly when these
    /// bytes are.
    pub fn write(&self, out: &mut Vec<u8>) {
        for text in [&self.text, &self.hidden, &self.shown] {
            out.extend((text.0.len() as u64).to_le_bytes());
            out.extend(&text.0);
        }
        out.extend(self.kind.to_le_bytes());
        out.extend(self.score.to_le_bytes());
        out.push(self.ends.into());
    }
}

impl From<EscapedBytes> for String {
    fn from(raw: EscapedBytes) -> Self {
        raw.0.into_iter().map(char::from).collect()
    }
}

impl TryFrom<String> for EscapedBytes {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let byte = |c: char| u8::try_from(c).map_err(|_| format!("{c:?} stands for no byte"));
        text.chars()
            .map(byte)
            .collect::<Result<_, _>>()
            .map(EscapedBytes)
    }
}

impl fmt::Display for EscapedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\n' => f.write_str("\\n")?,
                    '\\' => f.write_str("\\\\")?,
                    // A shell's quote would end the argument.
                    '\'' => f.write_str("\\x27")?,
                    ' '..='~' => write!(f, "{c}")?,
                    '\0'..='\x7f' => write!(f, "\\x{:02x}", u32::from(c))?,
                    _ => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for EscapedBytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut bytes = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('\\') {
            bytes.extend_from_slice(&rest.as_bytes()[..at]);
            let (escaped, len) = escape(&rest[at + 1..]).ok_or_else(|| {
                format!("{:?} is none of \\n \\\\ \\xff \\u{{1f40b}}", &rest[at..])
            })?;
            bytes.extend(escaped);
            rest = &rest[at + 1 + len..];
        }
        bytes.extend_from_slice(rest.as_bytes());
        Ok(EscapedBytes(bytes))
    }
}

/// The bytes that an escape stands for, and its length behind the backslash.
fn escape(text: &str) -> Option<(Vec<u8>, usize)> {
    match text.as_bytes().first()? {
        b'n' => Some((vec![b'\n'], 1)),
        b'\\' => Some((vec![b'\\'], 1)),
        b'x' => {
            let byte = u8::from_str_radix(text.get(1..3)?, 16).ok()?;
            Some((vec![byte], 3))
        }
        b'u' => {
            let digits = text.strip_prefix("u{")?.split_once('}')?.0;
            let c = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
            Some((c.to_string().into_bytes(), digits.len() + 3))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_string_survives_paper_and_wire() {
        let all: Vec<u8> = (0..=255).chain("é語🐋\\x41\n'".bytes()).collect();
        for bytes in [&all[..], b"", b"\xe2\x82", b"\xff\\n", b"it's \\u{41}"] {
            let raw = EscapedBytes(bytes.to_vec());
            let shown = raw.to_string();
            assert!(
                shown
                    .bytes()
                    .all(|b| (0x20..0x7f).contains(&b) && b != b'\'')
            );
            assert_eq!(shown.parse(), Ok(raw.clone()), "{shown}");
            let json = serde_json::to_string(&raw).expect("JSON");
            assert_eq!(
                serde_json::from_str::<EscapedBytes>(&json).expect("bytes"),
                raw
            );
        }
        assert!(serde_json::from_str::<EscapedBytes>("\"語\"").is_err());
    }

    #[test]
    fn what_is_no_escape_is_refused() {
        for wrong in [
            "\\",
            "\\q",
            "\\x4",
            "\\xzz",
            "\\u41",
            "\\u{d800}",
            "\\u{}",
            "\\xé",
        ] {
            let refused = wrong.parse::<EscapedBytes>().expect_err(wrong);
            assert!(refused.contains("is none of"), "{refused}");
        }
    }
}
