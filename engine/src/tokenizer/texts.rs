//! Many short byte strings in one allocation, numbered in order and found by content.
#![forbid(unsafe_code)]

use std::hash::{BuildHasher, RandomState};

use super::index::Index;

/// The strings. A number is the position at which a string was added.
pub(super) struct Texts {
    bytes: Vec<u8>,
    /// Where each string ends; it starts where the one before ends.
    ends: Vec<usize>,
    /// Bytes of the longest string.
    longest: usize,
    index: Index,
    hasher: RandomState,
}

impl Texts {
    /// Room for `count` strings of `bytes` bytes together.
    pub(super) fn with_capacity(count: usize, bytes: usize) -> Self {
        Texts {
            bytes: Vec::with_capacity(bytes),
            ends: Vec::with_capacity(count),
            longest: 0,
            index: Index::with_capacity(count),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The string with that number.
    pub(super) fn get(&self, number: u32) -> Option<&[u8]> {
        let number = number as usize;
        let end = *self.ends.get(number)?;
        let start = if number == 0 {
            0
        } else {
            self.ends[number - 1]
        };
        Some(&self.bytes[start..end])
    }

    /// The number of that string. A text longer than all of them costs nothing.
    pub(super) fn find(&self, text: &[u8]) -> Option<u32> {
        if text.len() > self.longest {
            return None;
        }
        self.find_hashed(self.hasher.hash_one(text), text)
    }

    fn find_hashed(&self, hash: u64, text: &[u8]) -> Option<u32> {
        self.index
            .find(hash, |number| self.get(number) == Some(text))
    }

    /// Adds a string; the number of an equal one that is there already is the error.
    pub(super) fn add(&mut self, text: &[u8]) -> Result<u32, u32> {
        let hash = self.hasher.hash_one(text);
        if let Some(number) = self.find_hashed(hash, text) {
            return Err(number);
        }
        let number = u32::try_from(self.ends.len()).expect("fewer than vocabulary::MOST_STRINGS");
        let Texts {
            bytes,
            ends,
            index,
            hasher,
            ..
        } = self;
        index.insert(number, hash, |number| {
            let number = number as usize;
            let start = if number == 0 { 0 } else { ends[number - 1] };
            hasher.hash_one(&bytes[start..ends[number]])
        });
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
        self.longest = self.longest.max(text.len());
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_strings_share_a_number_and_the_empty_one_is_a_string() {
        let mut texts = Texts::with_capacity(0, 0);
        assert_eq!(texts.add(b"ab"), Ok(0));
        assert_eq!(texts.add(b""), Ok(1));
        assert_eq!(texts.add(b"ab"), Err(0));
        assert_eq!(texts.find(b""), Some(1));
        assert_eq!(texts.find(b"a"), None);
        assert_eq!(texts.get(0), Some(&b"ab"[..]));
        assert_eq!(texts.get(2), None);
        assert_eq!(texts.len(), 2);
    }
}
