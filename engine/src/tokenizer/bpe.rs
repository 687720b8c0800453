//! Byte-level byte-pair encoding: a word starts as its bytes, and the merge of the lowest rank is
//! applied, leftmost first, until none applies.
#![forbid(unsafe_code)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::byte_level;
use super::merges::{Merges, Symbol};
use super::split::{self, Family};
use super::vocabulary::Vocabulary;
use crate::Token;

/// The algorithm's tables.
pub(super) struct Bpe {
    /// How text is cut into words.
    pub family: &'static Family,
    /// How words are built from bytes.
    pub merges: Merges,
}

impl Bpe {
    /// Appends the ids of a text without special tokens.
    pub(super) fn encode(&self, vocabulary: &Vocabulary, text: &str, out: &mut Vec<Token>) {
        let mut word = Word::default();
        split::split(self.family.stages, text, |piece| {
            self.encode_word(vocabulary, piece, &mut word, out);
        });
    }

    fn encode_word(
        &self,
        vocabulary: &Vocabulary,
        text: &str,
        word: &mut Word,
        out: &mut Vec<Token>,
    ) {
        if self.family.ignore_merges {
            word.spelled.clear();
            word.spelled.extend(text.bytes().map(byte_level::character));
            if let Some(token) = vocabulary.find(word.spelled.as_bytes()) {
                out.push(token);
                return;
            }
        }
        word.start(&self.merges, text.as_bytes());
        word.merge(&self.merges);
        let mut at = 0;
        while at < text.len() {
            let end = word.nodes[at].next;
            let symbol = word.nodes[at].symbol;
            if (symbol as usize) < vocabulary.len() {
                out.push(symbol);
            } else {
                spell(vocabulary, &text.as_bytes()[at..end], out);
            }
            at = end;
        }
    }
}

/// What stands for a symbol that is no token: of each byte of each character that spells it, the
/// token that is this byte alone, or nothing. Vocabularies that cover all bytes never get here.
fn spell(vocabulary: &Vocabulary, bytes: &[u8], out: &mut Vec<Token>) {
    for &byte in bytes {
        let mut buffer = [0; 4];
        let character = byte_level::character(byte).encode_utf8(&mut buffer);
        out.extend(
            character
                .bytes()
                .filter_map(|byte| vocabulary.find(&[byte])),
        );
    }
}

/// One word being merged. Kept from word to word for its allocations.
#[derive(Default)]
struct Word {
    /// The word in the vocabulary's alphabet.
    spelled: String,
    /// One for each byte; a symbol lives at its first byte.
    nodes: Vec<Node>,
    /// Merges to try, lowest rank first, then leftmost. May name neighbours that are gone.
    queue: BinaryHeap<Reverse<(u32, usize)>>,
}

#[derive(Clone, Copy)]
struct Node {
    symbol: Symbol,
    /// Where the symbol before starts.
    previous: Option<usize>,
    /// Where the symbol ends, which is where the next one starts; `DEAD` inside of a symbol.
    next: usize,
}

const DEAD: usize = usize::MAX;

impl Word {
    fn start(&mut self, merges: &Merges, bytes: &[u8]) {
        self.nodes.clear();
        self.nodes
            .extend(bytes.iter().enumerate().map(|(at, &byte)| Node {
                symbol: merges.of_byte(byte),
                previous: at.checked_sub(1),
                next: at + 1,
            }));
        self.queue.clear();
        for left in 0..bytes.len().saturating_sub(1) {
            self.consider(merges, left);
        }
    }

    /// Queues the merge of the symbol at `left` with the next one, if there is such a merge.
    fn consider(&mut self, merges: &Merges, left: usize) {
        let node = self.nodes[left];
        if let Some(right) = self.nodes.get(node.next)
            && let Some(rank) = merges.rank(node.symbol, right.symbol)
        {
            self.queue.push(Reverse((rank, left)));
        }
    }

    fn merge(&mut self, merges: &Merges) {
        while let Some(Reverse((rank, at))) = self.queue.pop() {
            let left = self.nodes[at];
            if left.next == DEAD || left.next == self.nodes.len() {
                continue;
            }
            let right = self.nodes[left.next];
            let Some(symbol) = merges.apply(rank, left.symbol, right.symbol) else {
                continue;
            };
            self.nodes[left.next].next = DEAD;
            self.nodes[at] = Node {
                symbol,
                next: right.next,
                ..left
            };
            if let Some(after) = self.nodes.get_mut(right.next) {
                after.previous = Some(at);
            }
            if let Some(before) = left.previous {
                self.consider(merges, before);
            }
            self.consider(merges, at);
        }
    }
}
