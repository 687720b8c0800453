//! From tokens back to text.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::fmt::Write;

use super::byte_level;
use super::sentencepiece::{self, SPACE};
use super::vocabulary::TokenKind;

/// Longest token whose unreadable characters are each reported with the whole token.
const LONGEST_REPORTED: usize = 1024;

/// How a vocabulary spells text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// A visible character for each byte.
    ByteLevel,
    /// Plain text with a mark for the space.
    SentencePiece,
}

/// The bytes a token stands for.
pub(super) fn piece(
    spelling: Spelling,
    text: &[u8],
    kind: TokenKind,
    special: bool,
) -> Cow<'_, [u8]> {
    match kind {
        TokenKind::Unknown | TokenKind::Control if !special => Cow::default(),
        TokenKind::Unknown | TokenKind::Control | TokenKind::UserDefined => text.into(),
        TokenKind::Normal if spelling == Spelling::ByteLevel => from_byte_level(text).into(),
        TokenKind::Normal => with_spaces(text),
        TokenKind::Byte if spelling == Spelling::SentencePiece => {
            sentencepiece::byte(text).map_or(text.into(), |byte| vec![byte].into())
        }
        TokenKind::Byte | TokenKind::Undefined | TokenKind::Unused => Cow::default(),
    }
}

fn from_byte_level(text: &[u8]) -> Vec<u8> {
    // A text that is not UTF-8 is not spelled in this alphabet; there is nothing to translate.
    let Ok(spelled) = std::str::from_utf8(text) else {
        return text.to_vec();
    };
    let mut bytes = Vec::with_capacity(text.len());
    for character in spelled.chars() {
        match byte_level::byte(character) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(unreadable(character, spelled).as_bytes()),
        }
    }
    bytes
}

/// What the reference prints for a character outside of the alphabet: its bytes and the token.
fn unreadable(character: char, token: &str) -> String {
    let mut shown = String::from("[UNK_BYTE_0x");
    for byte in character.encode_utf8(&mut [0; 4]).bytes() {
        write!(shown, "{byte:02x}").expect("writing to a string cannot fail");
    }
    if token.len() <= LONGEST_REPORTED {
        shown.push_str(token);
    }
    shown.push(']');
    shown
}

fn with_spaces(text: &[u8]) -> Cow<'_, [u8]> {
    let space = SPACE.as_bytes();
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(space.len()).position(|window| window == space) {
        bytes.extend_from_slice(&rest[..at]);
        bytes.push(b' ');
        rest = &rest[at + space.len()..];
    }
    if rest.len() == text.len() {
        return text.into();
    }
    bytes.extend_from_slice(rest);
    bytes.into()
}

/// Takes back the blanks that a word-based tokenizer put before punctuation and contractions.
pub(super) fn clean_spaces(text: &[u8]) -> Vec<u8> {
    join_contractions(&join_lone_apostrophes(&join_punctuation(text)))
}

/// ` ?`, ` !`, ` .` and ` ,` lose the blank.
fn join_punctuation(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for (at, &byte) in text.iter().enumerate() {
        if at > 0 && text[at - 1] == b' ' && b"?!.,".contains(&byte) {
            out.pop();
        }
        out.push(byte);
    }
    out
}

/// ` ' ` loses both blanks.
fn join_lone_apostrophes(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    // The blank behind an apostrophe is used up: it is not the blank before the next one.
    let mut free_from = 0;
    while at < text.len() {
        let lone = at > free_from && text[at - 1..].starts_with(b" ' ");
        if lone {
            out.pop();
            free_from = at + 2;
        }
        out.push(text[at]);
        at += if lone { 2 } else { 1 };
    }
    out
}

/// ` 's`, ` 'm`, ` 're` and ` 've` lose the blank; ` 't`, ` 'd` and ` 'll` keep it.
fn join_contractions(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for (at, &byte) in text.iter().enumerate() {
        if at > 0 && text[at - 1] == b' ' {
            let joins = |short: &&[u8]| text[at..].starts_with(short);
            let short: [&[u8]; 4] = [b"'s", b"'m", b"'re", b"'ve"];
            if short.iter().any(joins) {
                out.pop();
            }
        }
        out.push(byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_before_punctuation_and_short_forms_go() {
        for (text, cleaned) in [
            ("a , b . c ! d ?", "a, b. c! d?"),
            ("a  ,", "a ,"),
            (" , ,", ",,"),
            ("x ' y", "x'y"),
            ("x ' ' y", "x'' y"),
            ("' y", "' y"),
            ("we 're I 'm he 's they 've", "we're I'm he's they've"),
            ("don 't he 'd they 'll", "don 't he 'd they 'll"),
            ("a '", "a '"),
            ("", ""),
        ] {
            let found = clean_spaces(text.as_bytes());
            assert_eq!(String::from_utf8_lossy(&found), cleaned, "{text:?}");
        }
    }

    #[test]
    fn characters_outside_of_the_alphabet_are_shown() {
        let shown = piece(
            Spelling::ByteLevel,
            "a\u{200d}".as_bytes(),
            TokenKind::Normal,
            false,
        );
        assert_eq!(*shown, *"a[UNK_BYTE_0xe2808da\u{200d}]".as_bytes());
        let raw = piece(Spelling::ByteLevel, b"\xff", TokenKind::Normal, false);
        assert_eq!(*raw, *b"\xff");
        let long = "\u{200d}".repeat(1 << 20);
        let shown = piece(
            Spelling::ByteLevel,
            long.as_bytes(),
            TokenKind::Normal,
            false,
        );
        assert!(
            shown.len() < 32 << 20,
            "the whole token for each of its characters"
        );
    }

    #[test]
    fn what_a_token_is_for_decides_what_is_shown() {
        let of = |kind, special| piece(Spelling::SentencePiece, b"<0x41>", kind, special);
        assert_eq!(*of(TokenKind::Byte, false), *b"A");
        assert_eq!(*of(TokenKind::Control, false), *b"");
        assert_eq!(*of(TokenKind::Control, true), *b"<0x41>");
        assert_eq!(*of(TokenKind::Unknown, false), *b"");
        assert_eq!(*of(TokenKind::UserDefined, false), *b"<0x41>");
        assert_eq!(*of(TokenKind::Unused, true), *b"");
        assert_eq!(*of(TokenKind::Undefined, true), *b"");
    }
}
