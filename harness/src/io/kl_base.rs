//! The file that `llama-perplexity --kl-divergence-base` writes and reads: a text in chunks, and
//! the log-probabilities of every token at the positions that count, in 16 bits each.
//!
//! Behind eight bytes of magic come three 32-bit numbers, all little-endian: tokens of a chunk,
//! tokens of the vocabulary, chunks. Then every token of every chunk, 32 bits each, as the text has
//! them; then the rows of one chunk after the other, for the positions from the middle of a chunk
//! up to the last but one. A row is two singles, the step and the least logarithm, and a code for
//! each token of the vocabulary; an odd vocabulary leaves one code over.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::ops::Range;

use engine::Token;

const MAGIC: &[u8; 8] = b"_logits_";
const HEAD: usize = MAGIC.len() + 3 * 4;
/// Bytes of the step and the least logarithm.
const ROW_HEAD: usize = 8;
/// What a program that reads or writes one makes of a chunk that leaves nothing to count.
const LEAST_LENGTH: usize = 4;

/// The log-probabilities of one position: that of token `i` is `least + step * codes[i]`.
#[derive(Debug, Clone, PartialEq)]
pub struct CodedRow {
    /// What one more in a code stands for.
    pub step: f32,
    /// What the code 0 stands for, or anything below it.
    pub least: f32,
    /// One for each token of the vocabulary.
    pub codes: Vec<u16>,
}

/// What a file is about, without its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Tokens of a chunk.
    pub length: usize,
    /// Tokens of the vocabulary.
    pub vocab_size: usize,
    /// All chunks, one behind the other.
    pub tokens: Vec<Token>,
}

/// A file, looked into.
#[derive(Debug)]
pub struct KlBase<'b> {
    /// What it is about.
    pub head: Head,
    rows: &'b [u8],
}

/// Positions of a chunk whose logits count: those behind which something is left to expect, in its
/// second half.
pub fn counted(length: usize) -> Range<usize> {
    length / 2..length.saturating_sub(1).max(length / 2)
}

fn row_bytes(vocab_size: usize) -> Option<usize> {
    let codes = vocab_size.checked_next_multiple_of(2)?.checked_mul(2)?;
    codes.checked_add(ROW_HEAD)
}

impl Head {
    /// Chunks.
    pub fn chunks(&self) -> usize {
        self.tokens.len() / self.length
    }

    /// Writes what comes before the rows.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(MAGIC)?;
        for number in [self.length, self.vocab_size, self.chunks()] {
            let number = i32::try_from(number).map_err(|_| io::ErrorKind::InvalidInput)?;
            out.write_all(&number.to_le_bytes())?;
        }
        let tokens = self.tokens.iter().flat_map(|token| token.to_le_bytes());
        out.write_all(&tokens.collect::<Vec<u8>>())
    }
}

impl CodedRow {
    /// Writes it.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.step.to_le_bytes())?;
        out.write_all(&self.least.to_le_bytes())?;
        let left_over = self.codes.len() % 2;
        let codes = self.codes.iter().copied();
        let codes = codes.chain(std::iter::repeat_n(0, left_over));
        let bytes = codes.flat_map(u16::to_le_bytes);
        out.write_all(&bytes.collect::<Vec<u8>>())
    }

    fn read(bytes: &[u8], vocab_size: usize) -> Self {
        let single = |at: usize| f32::from_bits(u32::from_le_bytes(four(bytes, at)));
        let codes = bytes[ROW_HEAD..].chunks_exact(2).take(vocab_size);
        CodedRow {
            step: single(0),
            least: single(4),
            codes: codes.map(|c| u16::from_le_bytes([c[0], c[1]])).collect(),
        }
    }

    /// Why it is no row of log-probabilities.
    fn fault(&self) -> Option<String> {
        let (step, least) = (self.step, self.least);
        let sound = step.is_finite() && least.is_finite() && step >= 0.0 && least <= 0.0;
        (!sound).then(|| format!("a step of {step:e} from {least:e} on is no log-probability"))
    }
}

impl<'b> KlBase<'b> {
    /// Looks into a file. Nothing is allocated that its bytes do not hold.
    pub fn parse(bytes: &'b [u8]) -> Result<Self, String> {
        if !bytes.starts_with(MAGIC) {
            return Err("it does not begin with `_logits_`, as files of \
                        `llama-perplexity --kl-divergence-base` do"
                .into());
        }
        if bytes.len() < HEAD {
            return Err("it is cut off inside its head".into());
        }
        let [length, vocab_size, chunks] = [8, 12, 16].map(|at| {
            let number = i32::from_le_bytes(four(bytes, at));
            usize::try_from(number).unwrap_or(0)
        });
        if length < LEAST_LENGTH || vocab_size == 0 || chunks == 0 {
            return Err(format!(
                "its head says {chunks} chunks of {length} tokens out of {vocab_size}: nothing is \
                 left to count"
            ));
        }
        let promised = promised(length, vocab_size, chunks);
        if promised != Some(bytes.len()) {
            let promised = promised.map_or("more than there can be".into(), |n| n.to_string());
            return Err(format!(
                "it has {} bytes, and {chunks} chunks of {length} tokens out of {vocab_size} take \
                 {promised}: it is cut off, or was never finished",
                bytes.len()
            ));
        }
        let (tokens, rows) = bytes[HEAD..].split_at(length * chunks * 4);
        let tokens: Vec<Token> = (0..length * chunks)
            .map(|i| Token::from_le_bytes(four(tokens, i * 4)))
            .collect();
        if let Some(at) = tokens.iter().position(|&id| id as usize >= vocab_size) {
            let id = tokens[at];
            return Err(format!(
                "token {at} of its text is {id}, out of {vocab_size}"
            ));
        }
        let head = Head {
            length,
            vocab_size,
            tokens,
        };
        Ok(KlBase { head, rows })
    }

    /// The rows of one chunk.
    pub fn chunk(&self, chunk: usize) -> Result<Vec<CodedRow>, String> {
        let Head {
            length, vocab_size, ..
        } = self.head;
        let positions = counted(length);
        let row_bytes = row_bytes(vocab_size).expect("asked when it was parsed");
        let rows = self.rows.chunks_exact(row_bytes);
        let rows = rows.skip(chunk * positions.len()).zip(positions);
        let row = |(bytes, position): (&[u8], usize)| {
            let row = CodedRow::read(bytes, vocab_size);
            let at = |why| format!("chunk {chunk}, position {position}: {why}");
            row.fault().map_or(Ok(row), |why| Err(at(why)))
        };
        rows.map(row).collect()
    }
}

/// Bytes of the whole file.
fn promised(length: usize, vocab_size: usize, chunks: usize) -> Option<usize> {
    let rows = counted(length).len().checked_mul(row_bytes(vocab_size)?)?;
    let chunk = rows.checked_add(length.checked_mul(4)?)?;
    chunk.checked_mul(chunks)?.checked_add(HEAD)
}

fn four(bytes: &[u8], at: usize) -> [u8; 4] {
    bytes[at..at + 4].try_into().expect("four of them")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(vocab_size: usize) -> Vec<u8> {
        let head = Head {
            length: 6,
            vocab_size,
            tokens: (0..12).map(|i| i % 3).collect(),
        };
        let mut out = Vec::new();
        head.write(&mut out).expect("memory");
        for i in 0..2 * counted(6).len() {
            let row = CodedRow {
                step: 0.25,
                least: -3.0,
                codes: (0..vocab_size).map(|code| (code + i) as u16).collect(),
            };
            row.write(&mut out).expect("memory");
        }
        out
    }

    #[test]
    fn what_is_written_is_read_with_an_odd_vocabulary_too() {
        for vocab_size in [3, 4] {
            let bytes = file(vocab_size);
            let base = KlBase::parse(&bytes).expect("whole");
            assert_eq!((base.head.length, base.head.chunks()), (6, 2));
            assert_eq!(base.head.tokens[3..6], [0, 1, 2]);
            let rows = base.chunk(1).expect("sound");
            assert_eq!(rows.len(), 2, "positions 3 and 4");
            assert_eq!(rows[1].codes[..3], [3, 4, 5]);
        }
        assert_eq!(file(3).len(), 20 + 12 * 4 + 4 * (8 + 4 * 2));
    }

    #[test]
    fn a_damaged_file_is_refused_at_every_length_and_whatever_it_promises() {
        let whole = file(3);
        for length in 0..whole.len() {
            assert!(KlBase::parse(&whole[..length]).is_err(), "{length} bytes");
        }
        let edited = |at: usize, number: i32| {
            let mut bytes = whole.clone();
            bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
            KlBase::parse(&bytes).expect_err("damaged")
        };
        for at in [8, 12, 16] {
            for number in [-1, 0, 1, i32::MAX] {
                edited(at, number);
            }
        }
        assert!(edited(20, 3).contains("out of 3"));
        assert!(edited(0, 7).contains("_logits_"));
        for (at, value) in [
            (68, f32::NAN),
            (68, -1.0),
            (72, 1.0),
            (72, f32::NEG_INFINITY),
        ] {
            let mut bytes = whole.clone();
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            let base = KlBase::parse(&bytes).expect("the head is sound");
            let why = base.chunk(0).expect_err("no logarithm");
            assert!(why.starts_with("chunk 0, position 3"), "{why}");
        }
    }

    #[test]
    fn the_second_half_of_a_chunk_counts() {
        assert_eq!(counted(8), 4..7);
        assert_eq!(counted(9), 4..8);
        assert!(counted(1).is_empty() && counted(0).is_empty());
    }
}
