//! Which two neighbours become one symbol, and in what order of preference.
#![forbid(unsafe_code)]

use std::hash::{BuildHasher, RandomState};

use super::byte_level;
use super::index::Index;
use super::texts::Texts;
use super::vocabulary::{MOST_STRINGS, Oddity, Vocabulary, element};
use crate::gguf::{Array, Metadata, Warning};
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
        if array.len > MOST_STRINGS {
            let rule = format!("at most {MOST_STRINGS} merges");
            return Err(metadata.refuse(Code::VocabInvalid, KEY, rule, array.len));
        }
        let mut symbols = Symbols::new(vocabulary);
        let bytes = Box::new(std::array::from_fn(|byte| {
            let mut buffer = [0; 4];
            let character = byte_level::character(byte as u8).encode_utf8(&mut buffer);
            symbols.number(character.as_bytes())
        }));
        // Results first: a merge may build on one that stands behind it.
        let merges = read_results(metadata, array, &mut symbols)?;
        let mut table = Merges {
            bytes,
            by_parts: Index::with_capacity(merges.len()),
            merges,
            hasher: RandomState::new(),
        };
        let mut no_token = Oddity::default();
        let mut kept = 0;
        for (index, merge) in strings(metadata, array)?.enumerate() {
            let (left, right) = parts(merge).expect("read_results saw two parts in each");
            let result = table.merges[index][2];
            let merge = [symbols.find(left), symbols.find(right), Some(result)];
            no_token.note(
                index,
                !merge.iter().all(|s| s.is_some_and(|s| symbols.is_token(s))),
            );
            // A part that nothing builds never arises, so its merge never applies.
            if let [Some(left), Some(right), Some(result)] = merge {
                kept += usize::from(table.place(kept, [left, right, result]));
            }
        }
        table.merges.truncate(kept);
        let detail = "a merge of or into what is no token";
        no_token.report("MERGE_UNKNOWN_TOKEN", KEY, detail, warnings);
        Ok(table)
    }

    /// The symbol a byte starts as.
    pub(super) fn of_byte(&self, byte: u8) -> Symbol {
        self.bytes[usize::from(byte)]
    }

    /// The rank of the merge of two neighbours, if there is one.
    pub(super) fn rank(&self, left: Symbol, right: Symbol) -> Option<u32> {
        self.find_hashed(hash(&self.hasher, left, right), left, right)
    }

    fn find_hashed(&self, hash: u64, left: Symbol, right: Symbol) -> Option<u32> {
        let same = |rank: u32| self.merges[rank as usize][..2] == [left, right];
        self.by_parts.find(hash, same)
    }

    /// What the merge of that rank makes of these neighbours; `None` if it is not about them.
    pub(super) fn apply(&self, rank: u32, left: Symbol, right: Symbol) -> Option<Symbol> {
        let [is_left, is_right, result] = self.merges[rank as usize];
        (is_left == left && is_right == right).then_some(result)
    }

    /// Puts a merge at that rank, unless one with the same parts came before: the first counts.
    fn place(&mut self, rank: usize, merge: [Symbol; 3]) -> bool {
        let [left, right, _] = merge;
        let key = hash(&self.hasher, left, right);
        if self.find_hashed(key, left, right).is_some() {
            return false;
        }
        self.by_parts.insert(rank as u32, key, |rank| {
            let [left, right, _] = self.merges[rank as usize];
            hash(&self.hasher, left, right)
        });
        self.merges[rank] = merge;
        true
    }
}

fn hash(hasher: &RandomState, left: Symbol, right: Symbol) -> u64 {
    hasher.hash_one(u64::from(left) << 32 | u64::from(right))
}

fn strings<'a>(
    metadata: &Metadata,
    array: Array<'a>,
) -> Result<impl Iterator<Item = &'a [u8]> + use<'a>, Refusal> {
    array.strings().ok_or_else(|| {
        let found = format!("an array of {} {}", array.len, array.element_type.name());
        metadata.refuse(Code::WrongKeyType, KEY, "an array of strings", found)
    })
}

/// One entry for each merge, with the symbol it builds in the last place.
fn read_results(
    metadata: &Metadata,
    array: Array<'_>,
    symbols: &mut Symbols<'_>,
) -> Result<Vec<[Symbol; 3]>, Refusal> {
    let merges = strings(metadata, array)?;
    let mut results = Vec::with_capacity(array.len as usize);
    let mut joined = Vec::new();
    let mut at = 0;
    for (index, merge) in merges.enumerate() {
        let Some((left, right)) = parts(merge) else {
            let rule = "two parts with a space between";
            let found = format!("{:?}", String::from_utf8_lossy(merge));
            return Err(element(metadata, KEY, index, at)(
                Code::VocabInvalid,
                rule,
                &found,
            ));
        };
        joined.clear();
        joined.extend_from_slice(left);
        joined.extend_from_slice(right);
        results.push([0, 0, symbols.number(&joined)]);
        at += 8 + merge.len() as u64;
    }
    Ok(results)
}

/// The parts of a merge: the first space behind the first byte is between them.
fn parts(merge: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = 1 + merge.get(1..)?.iter().position(|&byte| byte == b' ')?;
    let (left, right) = (&merge[..space], &merge[space + 1..]);
    (!right.is_empty()).then_some((left, right))
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
