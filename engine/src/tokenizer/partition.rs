//! Finds special tokens written out in a text, before anything else is split.
#![forbid(unsafe_code)]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::vocabulary::Vocabulary;
use crate::Token;

/// Longer tokens are never looked for, so that a text of one letter and a token of the same
/// letter do not cost their product. Real ones have less than 64 bytes.
pub(super) const LONGEST: usize = 512;

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fragment<'a> {
    /// Text between special tokens.
    Text(&'a str),
    /// A special token.
    Special(Token),
}

/// Tokens to look for.
pub(super) struct Partition {
    /// In the order of their texts, so that one search narrows them down byte by byte.
    tokens: Vec<Token>,
    /// Which bytes a token may begin with.
    begins: [bool; 256],
    /// Tokens that swallow the white space behind them, in order.
    strip_after: Vec<Token>,
}

impl Partition {
    /// Looks for `tokens`, except those too long and those that no text can contain.
    pub(super) fn new(
        vocabulary: &Vocabulary,
        tokens: Vec<Token>,
        strip_after: Vec<Token>,
    ) -> Self {
        let text = |token| vocabulary.text(token).unwrap_or_default();
        let possible = |token: &Token| {
            text(*token).len() <= LONGEST && std::str::from_utf8(text(*token)).is_ok()
        };
        let mut tokens = tokens;
        tokens.retain(possible);
        tokens.sort_unstable_by_key(|&token| text(token));
        let mut begins = [false; 256];
        for &token in &tokens {
            if let Some(&byte) = text(token).first() {
                begins[usize::from(byte)] = true;
            }
        }
        Partition {
            tokens,
            begins,
            strip_after,
        }
    }

    /// Cuts `text` at special tokens: longer ones first, of equally long ones the lower id, of
    /// one token its leftmost places. What a token has taken no other can use.
    pub(super) fn fragments<'a>(
        &self,
        vocabulary: &Vocabulary,
        text: &'a str,
    ) -> Vec<Fragment<'a>> {
        let taken = self.take(vocabulary, text);
        let mut fragments = Vec::with_capacity(2 * taken.len() + 1);
        let mut at = 0;
        for (&start, place) in &taken {
            if at < start {
                fragments.push(Fragment::Text(&text[at..start]));
            }
            fragments.push(Fragment::Special(place.token));
            at = place.end;
        }
        if at < text.len() {
            fragments.push(Fragment::Text(&text[at..]));
        }
        fragments
    }

    /// Each place in the text has one candidate, the longest token that may still stand there. A
    /// candidate gives way to a shorter one only when a token that it overlaps was placed behind
    /// it, and a token of `n` bytes overlaps fewer than `n` places: the work is that of a sort.
    fn take(&self, vocabulary: &Vocabulary, text: &str) -> BTreeMap<usize, Place> {
        let bytes = text.as_bytes();
        let mut candidates = BinaryHeap::new();
        let consider = |candidates: &mut BinaryHeap<_>, start: usize, end: usize| {
            if let Some((token, len)) = self.longest(vocabulary, &bytes[start..end]) {
                candidates.push((len, Reverse(token), Reverse(start)));
            }
        };
        for start in 0..bytes.len() {
            consider(&mut candidates, start, bytes.len());
        }
        let mut taken: BTreeMap<usize, Place> = BTreeMap::new();
        while let Some((len, Reverse(token), Reverse(start))) = candidates.pop() {
            let before = taken.range(..=start).next_back();
            if before.is_some_and(|(_, place)| place.end > start) {
                continue;
            }
            let limit = taken
                .range(start..)
                .next()
                .map_or(bytes.len(), |(&next, _)| next);
            if start + len > limit {
                consider(&mut candidates, start, limit);
                continue;
            }
            let mut end = start + len;
            if self.strip_after.binary_search(&token).is_ok() {
                let blank = |byte: &&u8| byte.is_ascii_whitespace() || **byte == 0x0b;
                end += bytes[end..limit].iter().take_while(blank).count();
            }
            taken.insert(start, Place { end, token });
        }
        taken
    }

    /// The longest token that `text` begins with, and its length.
    fn longest(&self, vocabulary: &Vocabulary, text: &[u8]) -> Option<(Token, usize)> {
        if !self.begins[usize::from(*text.first()?)] {
            return None;
        }
        let mut found = None;
        let mut tokens = &self.tokens[..];
        for (at, &byte) in text.iter().enumerate() {
            let byte_of = |token: Token| {
                vocabulary
                    .text(token)
                    .and_then(|text| text.get(at).copied())
            };
            let from = tokens.partition_point(|&token| byte_of(token) < Some(byte));
            let to = tokens.partition_point(|&token| byte_of(token) <= Some(byte));
            tokens = &tokens[from..to];
            let Some(&first) = tokens.first() else { break };
            // The shortest of those left stands first, as the beginning of the others.
            if vocabulary
                .text(first)
                .is_some_and(|text| text.len() == at + 1)
            {
                found = Some((first, at + 1));
            }
            if tokens.len() == 1 && found.is_some_and(|(token, _)| token == first) {
                break;
            }
        }
        found
    }
}

/// Where a token stands, with the white space it swallowed.
struct Place {
    end: usize,
    token: Token,
}
