//! SentencePiece merging: characters join to the token with the highest score, leftmost first,
//! and what joins to no token is written as its bytes.
#![forbid(unsafe_code)]

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::vocabulary::Vocabulary;
use crate::Token;
use crate::gguf::Metadata;
use crate::refusal::{Code, Refusal};

/// What stands for a space in the vocabulary.
pub(super) const SPACE: &str = "\u{2581}";

/// The algorithm's tables.
pub(super) struct SentencePiece {
    /// The token that stands for each byte.
    bytes: Box<[Token; 256]>,
    /// Which bytes stand side by side in some token: by the first, a bit for each second.
    neighbours: Box<[[u64; 4]; 256]>,
}

impl SentencePiece {
    /// Looks up the byte tokens. A vocabulary without them could not encode every text.
    pub(super) fn new(metadata: &Metadata, vocabulary: &Vocabulary) -> Result<Self, Refusal> {
        let mut bytes = Box::new([0; 256]);
        for byte in 0..=u8::MAX {
            let name = format!("<0x{byte:02X}>");
            let found = vocabulary
                .find(name.as_bytes())
                .or_else(|| vocabulary.find(&[byte]));
            bytes[usize::from(byte)] = found.ok_or_else(|| {
                let rule = "a token for each of the 256 bytes";
                let found = format!("none for byte 0x{byte:02X}, neither {name} nor itself");
                metadata.refuse(
                    Code::VocabNoByteTokens,
                    "tokenizer.ggml.tokens",
                    rule,
                    found,
                )
            })?;
        }
        let mut neighbours = Box::new([[0; 4]; 256]);
        for text in vocabulary.texts() {
            for pair in text.windows(2) {
                neighbours[usize::from(pair[0])][usize::from(pair[1] >> 6)] |= 1 << (pair[1] & 63);
            }
        }
        Ok(SentencePiece { bytes, neighbours })
    }

    /// Appends the ids of a text without special tokens.
    pub(super) fn encode(&self, vocabulary: &Vocabulary, text: &str, out: &mut Vec<Token>) {
        let text = text.replace(' ', SPACE);
        let mut pieces = Pieces::default();
        // No token reaches across a place that it would have to contain, so what is left and
        // right of it merges on its own, and short queues are quick ones.
        let mut start = 0;
        for (at, _) in text.char_indices().skip(1).chain([(text.len(), ' ')]) {
            if at == text.len()
                || !self.are_neighbours(text.as_bytes()[at - 1], text.as_bytes()[at])
            {
                self.encode_part(vocabulary, &text[start..at], &mut pieces, out);
                start = at;
            }
        }
    }

    fn are_neighbours(&self, left: u8, right: u8) -> bool {
        self.neighbours[usize::from(left)][usize::from(right >> 6)] >> (right & 63) & 1 == 1
    }

    fn encode_part(
        &self,
        vocabulary: &Vocabulary,
        text: &str,
        pieces: &mut Pieces,
        out: &mut Vec<Token>,
    ) {
        pieces.start(vocabulary, text);
        pieces.merge(vocabulary, text.as_bytes());
        for (start, node) in pieces.nodes.iter().enumerate() {
            let Some(end) = node.end else { continue };
            let piece = &text.as_bytes()[start..end];
            match vocabulary.find(piece) {
                Some(token) => out.push(token),
                None => out.extend(piece.iter().map(|&byte| self.bytes[usize::from(byte)])),
            }
        }
    }
}

/// The byte a byte token stands for; its text is written like `<0x0A>`.
pub(super) fn byte(text: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(text.get(3..5)?).ok()?;
    u8::from_str_radix(digits, 16).ok()
}

/// A part of a text being merged. Kept from part to part for its allocations.
#[derive(Default)]
struct Pieces {
    /// One for each byte; a piece lives at its first byte.
    nodes: Vec<Node>,
    /// Joins to try, highest score first, then leftmost. May name pieces that have grown since.
    queue: BinaryHeap<Join>,
}

#[derive(Clone, Copy)]
struct Node {
    /// Where the piece before starts.
    previous: Option<usize>,
    /// Where the piece ends, which is where the next one starts; `None` inside of a piece.
    end: Option<usize>,
}

/// Two neighbours that are a token together.
struct Join {
    score: f32,
    left: usize,
    /// Where they meet and where the right one ends. If they do not any more, the join is out of
    /// date.
    middle: usize,
    end: usize,
}

impl Pieces {
    fn start(&mut self, vocabulary: &Vocabulary, text: &str) {
        let inside = Node {
            previous: None,
            end: None,
        };
        self.nodes.clear();
        self.nodes.resize(text.len(), inside);
        let mut previous = None;
        for (start, character) in text.char_indices() {
            let end = Some(start + character.len_utf8());
            self.nodes[start] = Node { previous, end };
            previous = Some(start);
        }
        self.queue.clear();
        for (start, _) in text.char_indices() {
            self.consider(vocabulary, text.as_bytes(), start);
        }
    }

    /// Queues the join of the piece at `left` with the next one, if it makes a token.
    fn consider(&mut self, vocabulary: &Vocabulary, text: &[u8], left: usize) {
        let Some(middle) = self.nodes[left].end else {
            return;
        };
        let Some(end) = self.nodes.get(middle).and_then(|right| right.end) else {
            return;
        };
        if let Some(token) = vocabulary.find(&text[left..end]) {
            let score = vocabulary.score(token);
            self.queue.push(Join {
                score,
                left,
                middle,
                end,
            });
        }
    }

    fn merge(&mut self, vocabulary: &Vocabulary, text: &[u8]) {
        while let Some(join) = self.queue.pop() {
            let left = self.nodes[join.left];
            let right = self.nodes[join.middle];
            if left.end != Some(join.middle) || right.end != Some(join.end) {
                continue;
            }
            self.nodes[join.left].end = right.end;
            self.nodes[join.middle].end = None;
            if let Some(after) = self.nodes.get_mut(join.end) {
                after.previous = Some(join.left);
            }
            if let Some(before) = left.previous {
                self.consider(vocabulary, text, before);
            }
            self.consider(vocabulary, text, join.left);
        }
    }
}

impl Ord for Join {
    fn cmp(&self, other: &Self) -> Ordering {
        // Scores are numbers, and 0 has one sign: the vocabulary saw to it.
        self.score
            .total_cmp(&other.score)
            .then(Reverse(self.left).cmp(&Reverse(other.left)))
    }
}

impl PartialOrd for Join {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Join {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Join {}
