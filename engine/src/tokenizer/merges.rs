//! Which two neighbours become one symbol, and in what order of preference.
#![forbid(unsafe_code)]

use std::hash::{BuildHasher, RandomState};

use super::byte_level;
use super::index::Index;
use super::texts::Texts;
use super::vocabulary::{Oddity, Vocabulary, element};
use crate::gguf::{Metadata, Warning};
use crate::refusal::{Code, Refusal};

const KEY: &str = "tokenizer.ggml.merges";

/// A piece of a word while it is being merged: a token's id, or a number behind the vocabulary
/// for what is no token (yet): a byte without a token, or a merge whose result has none.
pub(super) type Symbol = u32;

/// The merges in the order of their preference: the position is the rank.
pub(super) struct Merges {
    /// The symbol of each byte.
    bytes: Box<[Symbol; 256]>,
    /// Left part, right part and result of each merge.
    merges: Vec<[Symbol; 3]>,
    by_parts: Index,
    hasher: RandomState,
}

impl Merges {
    /// Reads the merges of a vocabulary.
    pub(super) fn read(
        metadata: &Metadata,
        vocabulary: &Vocabulary,
        warnings: &mut Vec<Warning>,
    ) -> Result<Self, Refusal> {
        let Some(array) = metadata.array(KEY)? else {
            return Err(metadata.missing(KEY, "the merges of a byte-level vocabulary"));
        };
        let wrong_type = || {
            let found = format!("an array of {} {}", array.len, array.element_type.name());
            metadata.refuse(Code::WrongKeyType, KEY, "an array of strings", found)
        };
        if array.len > i32::MAX as u64 {
            let rule = format!("at most {} merges", i32::MAX);
            return Err(metadata.refuse(Code::VocabInvalid, KEY, rule, array.len));
        }
        let mut symbols = Symbols::new(vocabulary);
        let bytes = Box::new(std::array::from_fn(|byte| {
            let mut buffer = [0; 4];
            let character = byte_level::character(byte as u8).encode_utf8(&mut buffer);
            symbols.number(character.as_bytes())
        }));
        // Results first: a merge may build on one that stands behind it.
        let mut joined = Vec::new();
        let mut at = 0;
        for (index, merge) in array.strings().ok_or_else(wrong_type)?.enumerate() {
            let Some((left, right)) = parts(merge) else {
                let found = format!("{:?}", String::from_utf8_lossy(merge));
                let refusal = element(metadata, KEY, index, at);
                return Err(refusal(
                    Code::VocabInvalid,
                    "two parts with a space between",
                    &found,
                ));
            };
            join(&mut joined, left, right);
            symbols.number(&joined);
            at += 8 + merge.len() as u64;
        }
        let mut table = Merges {
            bytes,
            merges: Vec::with_capacity(array.len as usize),
            by_parts: Index::with_capacity(array.len as usize),
            hasher: RandomState::new(),
        };
        let mut no_token = Oddity::default();
        for (index, merge) in array.strings().ok_or_else(wrong_type)?.enumerate() {
            let (left, right) = parts(merge).expect("all merges have two parts, see above");
            join(&mut joined, left, right);
            let merge = [left, right, &joined].map(|text| symbols.find(text));
            let is_token = |symbol: &Option<u32>| symbol.is_some_and(|s| symbols.is_token(s));
            no_token.note(index, !merge.iter().all(is_token));
            // A part that nothing builds never arises, so its merge never applies.
            if let [Some(left), Some(right), Some(result)] = merge {
                table.add([left, right, result]);
            }
        }
        no_token.report(
            "MERGE_UNKNOWN_TOKEN",
            KEY,
            "a merge of or into no token",
            warnings,
        );
        Ok(table)
    }

    /// The symbol a byte starts as.
    pub(super) fn of_byte(&self, byte: u8) -> Symbol {
        self.bytes[usize::from(byte)]
    }

    /// The rank of the merge of two neighbours, if there is one.
    pub(super) fn rank(&self, left: Symbol, right: Symbol) -> Option<u32> {
        let hash = self.hasher.hash_one((left, right));
        let same = |rank: u32| self.merges[rank as usize][..2] == [left, right];
        self.by_parts.find(hash, same)
    }

    /// What the merge of that rank makes of these neighbours; `None` if it is not about them.
    pub(super) fn apply(&self, rank: u32, left: Symbol, right: Symbol) -> Option<Symbol> {
        let [is_left, is_right, result] = self.merges[rank as usize];
        (is_left == left && is_right == right).then_some(result)
    }

    /// Where two merges have the same parts the first counts.
    fn add(&mut self, merge: [Symbol; 3]) {
        let [left, right, _] = merge;
        if self.rank(left, right).is_some() {
            return;
        }
        let rank = self.merges.len() as u32;
        self.merges.push(merge);
        let Merges {
            merges,
            by_parts,
            hasher,
            ..
        } = self;
        by_parts.insert(rank, |rank| {
            let [left, right, _] = merges[rank as usize];
            hasher.hash_one((left, right))
        });
    }
}

/// The parts of a merge: the first space behind the first byte is between them.
fn parts(merge: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = 1 + merge.get(1..)?.iter().position(|&byte| byte == b' ')?;
    let (left, right) = (&merge[..space], &merge[space + 1..]);
    (!right.is_empty()).then_some((left, right))
}

fn join(joined: &mut Vec<u8>, left: &[u8], right: &[u8]) {
    joined.clear();
    joined.extend_from_slice(left);
    joined.extend_from_slice(right);
}

/// Numbers for everything that can arise while merging.
struct Symbols<'a> {
    vocabulary: &'a Vocabulary,
    others: Texts,
}

impl<'a> Symbols<'a> {
    fn new(vocabulary: &'a Vocabulary) -> Self {
        Symbols {
            vocabulary,
            others: Texts::with_capacity(0, 0),
        }
    }

    fn is_token(&self, symbol: Symbol) -> bool {
        (symbol as usize) < self.vocabulary.len()
    }

    fn find(&self, text: &[u8]) -> Option<Symbol> {
        self.vocabulary
            .find(text)
            .or_else(|| Some(self.vocabulary.len() as u32 + self.others.find(text)?))
    }

    fn number(&mut self, text: &[u8]) -> Symbol {
        self.vocabulary.find(text).unwrap_or_else(|| {
            let (Ok(number) | Err(number)) = self.others.add(text);
            self.vocabulary.len() as u32 + number
        })
    }
}
