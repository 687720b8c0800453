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
        Ok(SentencePiece { bytes })
    }

    /// Appends the ids of a text without special tokens.
    pub(super) fn encode(&self, vocabulary: &Vocabulary, text: &str, out: &mut Vec<Token>) {
        let text = text.replace(' ', SPACE);
        let mut pieces = Pieces::start(vocabulary, &text);
        pieces.merge();
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

/// A text being merged.
struct Pieces<'a> {
    vocabulary: &'a Vocabulary,
    text: &'a [u8],
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
    /// Where the token would end. If it does not any more, the join is out of date.
    end: usize,
    middle: usize,
}

impl<'a> Pieces<'a> {
    fn start(vocabulary: &'a Vocabulary, text: &'a str) -> Self {
        let inside = Node {
            previous: None,
            end: None,
        };
        let mut pieces = Pieces {
            vocabulary,
            text: text.as_bytes(),
            nodes: vec![inside; text.len()],
            queue: BinaryHeap::new(),
        };
        let mut previous = None;
        for (start, character) in text.char_indices() {
            let end = Some(start + character.len_utf8());
            pieces.nodes[start] = Node { previous, end };
            previous = Some(start);
        }
        for (start, _) in text.char_indices() {
            pieces.consider(Some(start));
        }
        pieces
    }

    /// Queues the join of the piece at `left` with the next one, if it makes a token.
    fn consider(&mut self, left: Option<usize>) {
        let Some(left) = left else { return };
        let Some(middle) = self.nodes[left].end else {
            return;
        };
        let Some(end) = self.nodes.get(middle).and_then(|right| right.end) else {
            return;
        };
        if let Some(token) = self.vocabulary.find(&self.text[left..end]) {
            let score = self.vocabulary.score(token);
            self.queue.push(Join {
                score,
                left,
                end,
                middle,
            });
        }
    }

    fn merge(&mut self) {
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
            self.consider(left.previous);
            self.consider(Some(join.left));
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
