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
    /// In the order of their texts.
    tokens: Vec<Token>,
    /// For each of them the place of the longest other one it begins with, or its own.
    beginnings: Vec<u32>,
    /// Which bytes a token may begin with.
    begins: [bool; 256],
}

impl Partition {
    /// Looks for `tokens`, except those too long and those that no text can contain.
    pub(super) fn new(vocabulary: &Vocabulary, mut tokens: Vec<Token>) -> Self {
        let text = |token| vocabulary.text(token).unwrap_or_default();
        let possible = |token: &Token| {
            text(*token).len() <= LONGEST && std::str::from_utf8(text(*token)).is_ok()
        };
        tokens.retain(possible);
        tokens.sort_unstable_by_key(|&token| text(token));
        let mut begins = [false; 256];
        for &token in &tokens {
            if let Some(&byte) = text(token).first() {
                begins[usize::from(byte)] = true;
            }
        }
        Partition {
            beginnings: beginnings(tokens.iter().map(|&token| text(token))),
            tokens,
            begins,
        }
    }

    /// Cuts `text` at special tokens: longer ones first, of equally long ones the lower id, of
    /// one token its leftmost places. What a token has taken no other can use. Those in
    /// `strip_after`, which is in order, take the white space behind them too.
    pub(super) fn fragments<'a>(
        &self,
        vocabulary: &Vocabulary,
        text: &'a str,
        strip_after: &[Token],
    ) -> Vec<Fragment<'a>> {
        let taken = self.take(vocabulary, text, strip_after);
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
    fn take(
        &self,
        vocabulary: &Vocabulary,
        text: &str,
        strip_after: &[Token],
    ) -> BTreeMap<usize, Place> {
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
            if strip_after.binary_search(&token).is_ok() {
                let blank = |byte: &&u8| byte.is_ascii_whitespace() || **byte == 0x0b;
                end += bytes[end..limit].iter().take_while(blank).count();
            }
            taken.insert(start, Place { end, token });
        }
        taken
    }

    /// The longest token that `text` begins with, and its length. It is the last one before
    /// `text` in order, or a beginning of that one: whatever lies between begins with it too.
    fn longest(&self, vocabulary: &Vocabulary, text: &[u8]) -> Option<(Token, usize)> {
        if !self.begins[usize::from(*text.first()?)] {
            return None;
        }
        let token_text = |place: u32| {
            vocabulary
                .text(self.tokens[place as usize])
                .unwrap_or_default()
        };
        let behind = self
            .tokens
            .partition_point(|&token| vocabulary.text(token) <= Some(text));
        let last = behind.checked_sub(1)? as u32;
        let pairs = token_text(last).iter().zip(text);
        let common = pairs.take_while(|(left, right)| left == right).count();
        let mut place = last;
        loop {
            let len = token_text(place).len();
            if len <= common {
                return Some((self.tokens[place as usize], len));
            }
            let shorter = self.beginnings[place as usize];
            if shorter == place {
                return None;
            }
            place = shorter;
        }
    }
}

/// For each of the texts, which are in order, the longest other one it begins with, or itself.
fn beginnings<'a>(texts: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<u32> {
    let mut open: Vec<(u32, &[u8])> = Vec::new();
    let mut found = Vec::with_capacity(texts.len());
    for (place, text) in (0..).zip(texts) {
        while open.last().is_some_and(|(_, last)| !text.starts_with(last)) {
            open.pop();
        }
        found.push(open.last().map_or(place, |&(shorter, _)| shorter));
        open.push((place, text));
    }
    found
}

/// Where a token stands, with the white space it swallowed.
struct Place {
    end: usize,
    token: Token,
}

#[cfg(test)]
mod tests;
