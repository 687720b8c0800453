//! Questions made up from a seed: every question has a number, and the number alone makes it.

use engine::Token;
use engine::tokenizer::Tokenizer;

use super::corpus;
use crate::case::observation::tokenization::{EscapedBytes, Question};
use crate::numbers::split_mix::SplitMix64;

/// Every so many questions is a list of ids.
const LIST_EVERY: u64 = 5;

/// First and last characters of ranges that rules treat differently: letters with and without
/// case, numbers of every kind, marks, punctuation, symbols, blanks, controls, what is assigned to
/// nothing.
const RANGES: [(u32, u32); 26] = [
    (0x00, 0x1f),
    (0x20, 0x7e),
    (0x30, 0x39),
    (0x41, 0x5a),
    (0x61, 0x7a),
    (0x80, 0xbf),
    (0xc0, 0x24f),
    (0x250, 0x36f),
    (0x370, 0x52f),
    (0x590, 0x6ff),
    (0x700, 0xdff),
    (0xe00, 0x17ff),
    (0x1800, 0x1fff),
    (0x2000, 0x206f),
    (0x2070, 0x23ff),
    (0x2400, 0x2bff),
    (0x2c00, 0x2fff),
    (0x3000, 0x33ff),
    (0x4e00, 0x9fff),
    (0xa000, 0xabff),
    (0xac00, 0xd7ff),
    (0xe000, 0xfaff),
    (0xfb00, 0xffff),
    (0x10000, 0x1ffff),
    (0x1d400, 0x1faff),
    (0x20000, 0x10ffff),
];

/// What joins pieces, and what rules look at most closely.
const JOINTS: [&str; 16] = [
    "", "", "", " ", " ", "  ", "\n", "\r\n", "\t", "'", "'s", "'Ll", "\u{a0}", "\u{301}", "1", ".",
];

/// Draws questions for one vocabulary.
pub struct Questions<'a> {
    tokenizer: &'a Tokenizer,
    special: Vec<Vec<u8>>,
    /// Texts to change: those that were written down.
    texts: Vec<Vec<u8>>,
    seed: u64,
}

impl<'a> Questions<'a> {
    /// For one vocabulary, from the questions that were written down.
    pub fn new(tokenizer: &'a Tokenizer, corpus: &[Question], seed: u64) -> Self {
        let text = |question: &Question| match question {
            Question::Text(EscapedBytes(text)) if text.len() < 200 => {
                std::str::from_utf8(text).ok().map(|_| text.clone())
            }
            _ => None,
        };
        Questions {
            tokenizer,
            special: corpus::special(tokenizer),
            texts: corpus.iter().filter_map(text).collect(),
            seed,
        }
    }

    /// The question of that number.
    pub fn question(&self, number: u64) -> Question {
        let mut dice = SplitMix64(self.seed ^ number.wrapping_mul(0x9e37_79b9));
        dice.bits();
        if number % LIST_EVERY == LIST_EVERY - 1 {
            return Question::Ids(self.list(&mut dice));
        }
        let text = match dice.below(13) {
            0 | 1 => characters(&mut dice),
            2 => bytes(&mut dice),
            3 | 4 => self.pieces(&mut dice),
            5 | 6 => self.changed(&mut dice),
            7 | 8 => self.marked(&mut dice),
            9 | 10 => run(&mut dice),
            _ => words(&mut dice),
        };
        Question::Text(EscapedBytes(text))
    }

    fn list(&self, dice: &mut SplitMix64) -> Vec<Token> {
        let tokens = self.tokenizer.vocab_size();
        // Marks and bytes stand together at the ends of most vocabularies.
        let token = |dice: &mut SplitMix64| match dice.below(4) {
            0 => dice.below(tokens.min(300)),
            1 => tokens - 1 - dice.below(tokens.min(300)),
            _ => dice.below(tokens),
        };
        let length = dice.below(24);
        (0..length).map(|_| token(dice) as Token).collect()
    }

    /// Tokens one after another, so that other tokens would be possible across their seams.
    fn pieces(&self, dice: &mut SplitMix64) -> Vec<u8> {
        let mut text = Vec::new();
        for _ in 0..1 + dice.below(12) {
            let token = dice.below(self.tokenizer.vocab_size()) as Token;
            text.extend_from_slice(&self.tokenizer.piece(token, true));
            text.extend_from_slice(dice.pick(&JOINTS).as_bytes());
        }
        text
    }

    fn changed(&self, dice: &mut SplitMix64) -> Vec<u8> {
        let mut text = self.some(&self.texts, dice);
        for _ in 0..1 + dice.below(3) {
            let at = dice.below(text.len() + 1);
            let end = (at + dice.below(4)).min(text.len());
            let insert = match dice.below(4) {
                0 => Vec::new(),
                1 => self.some(&self.texts, dice),
                2 => dice.pick(&JOINTS).as_bytes().to_vec(),
                _ => character(dice).to_string().into_bytes(),
            };
            text.splice(at..end, insert);
        }
        text
    }

    fn marked(&self, dice: &mut SplitMix64) -> Vec<u8> {
        let mut text = Vec::new();
        for _ in 0..1 + dice.below(6) {
            match dice.below(3) {
                0 => text.extend(self.some(&self.special, dice)),
                1 => text.extend(words(dice)),
                _ => text.extend_from_slice(dice.pick(&JOINTS).as_bytes()),
            }
        }
        if dice.once_in(4) {
            text.truncate(dice.below(text.len() + 1));
        }
        text
    }

    fn some(&self, texts: &[Vec<u8>], dice: &mut SplitMix64) -> Vec<u8> {
        match texts.len() {
            0 => Vec::new(),
            count => texts[dice.below(count)].clone(),
        }
    }
}

/// A character of some range, each range as likely as any other.
fn character(dice: &mut SplitMix64) -> char {
    loop {
        let (first, last) = dice.pick(&RANGES);
        let code = first + dice.below((last - first + 1) as usize) as u32;
        if let Some(c) = char::from_u32(code) {
            return c;
        }
    }
}

fn characters(dice: &mut SplitMix64) -> Vec<u8> {
    let length = 1 + dice.below(40);
    let text: String = (0..length).map(|_| character(dice)).collect();
    text.into_bytes()
}

fn bytes(dice: &mut SplitMix64) -> Vec<u8> {
    let length = 1 + dice.below(24);
    (0..length).map(|_| dice.bits() as u8).collect()
}

/// Something like words of one range each, with what stands between words.
fn words(dice: &mut SplitMix64) -> Vec<u8> {
    let mut text = String::new();
    for _ in 0..1 + dice.below(6) {
        let (first, last) = dice.pick(&RANGES);
        for _ in 0..1 + dice.below(8) {
            let code = first + dice.below((last - first + 1) as usize) as u32;
            text.extend(char::from_u32(code));
        }
        text.push_str(dice.pick(&JOINTS));
    }
    text.into_bytes()
}

/// A run of one character, with something before and behind it.
fn run(dice: &mut SplitMix64) -> Vec<u8> {
    let longest = dice.pick(&[4, 20, 100, 600]);
    let run = character(dice).to_string().repeat(1 + dice.below(longest));
    let (before, behind) = (dice.pick(&JOINTS), dice.pick(&JOINTS));
    format!("{before}{run}{behind}").into_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::fixture::random::RandomShape;

    fn tokenizer() -> Tokenizer {
        let shape = RandomShape::from_seed(1, None);
        let file = shape.document().expect("possible").file();
        let bytes = engine::bytes::ModelBytes::from_vec(file);
        let gguf = engine::gguf::Gguf::parse(bytes).expect("sound");
        let tokenizer = Tokenizer::from_metadata(&gguf.metadata).expect("sound");
        tokenizer.expect("a vocabulary")
    }

    #[test]
    fn a_number_makes_its_question_and_another_another() {
        let tokenizer = tokenizer();
        let corpus = corpus::questions(&tokenizer, &[]);
        let draw = |seed| Questions::new(&tokenizer, &corpus, seed);
        let drawn: Vec<Question> = (0..1000).map(|n| draw(7).question(n)).collect();
        assert_eq!(draw(7).question(500), drawn[500]);
        assert_ne!(draw(8).question(500), drawn[500]);
        let different: BTreeSet<&Question> = drawn.iter().collect();
        assert!(different.len() > 950, "{}", different.len());
    }

    #[test]
    fn there_are_texts_and_what_is_none_and_lists_and_all_of_them_are_short() {
        let tokenizer = tokenizer();
        let corpus = corpus::questions(&tokenizer, &[]);
        let draw = Questions::new(&tokenizer, &corpus, 1);
        let drawn: Vec<Question> = (0..1000).map(|n| draw.question(n)).collect();
        assert!(drawn.iter().all(|question| question.len() < 4000));
        let texts = drawn.iter().filter_map(|question| match question {
            Question::Text(text) => Some(&text.0[..]),
            Question::Ids(_) => None,
        });
        let texts: Vec<&[u8]> = texts.collect();
        assert_eq!(texts.len(), 800);
        let valid = texts
            .iter()
            .filter_map(|text| std::str::from_utf8(text).ok());
        let valid: Vec<&str> = valid.collect();
        assert!(valid.len() > 500 && valid.len() < 700, "{}", valid.len());
        let marked = valid.iter().filter(|text| text.contains("<|begin|>"));
        assert!(marked.count() > 20);
    }
}
