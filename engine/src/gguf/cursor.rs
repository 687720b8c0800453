//! Bounds-checked little-endian reads: the only place that advances a position in the file.
#![forbid(unsafe_code)]

use std::fmt::Display;

use crate::refusal::{Code, Refusal};

/// A position in the file. Every read names the field it is for, so that a short file is refused
/// by the field it ends in.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Cursor {
            bytes,
            at: at.min(bytes.len()),
        }
    }

    pub(super) fn at(&self) -> u64 {
        self.at as u64
    }

    pub(super) fn remaining(&self) -> u64 {
        (self.bytes.len() - self.at) as u64
    }

    /// The next `count` bytes, or `TRUNCATED`.
    pub(super) fn take(&mut self, count: usize, field: impl Display) -> Result<&'a [u8], Refusal> {
        let rest = &self.bytes[self.at..];
        let Some(taken) = rest.get(..count) else {
            return Err(Refusal::new(
                Code::Truncated,
                field.to_string(),
                format!("{count} bytes"),
                format!("{} before the file ends", rest.len()),
            )
            .at(self.at())
            .hint(format!(
                "the file ends at byte {}: cut off?",
                self.bytes.len()
            )));
        };
        self.at += count;
        Ok(taken)
    }

    pub(super) fn u32(&mut self, field: impl Display) -> Result<u32, Refusal> {
        self.take(4, field).map(le_u32)
    }

    pub(super) fn u64(&mut self, field: impl Display) -> Result<u64, Refusal> {
        self.take(8, field).map(le_u64)
    }

    /// A length-prefixed string; a length beyond the end of the file is `STRING_TOO_LONG`.
    pub(super) fn string(&mut self, field: impl Display) -> Result<&'a [u8], Refusal> {
        let start = self.at();
        let length = self.u64(&field)?;
        match usize::try_from(length) {
            Ok(count) if length <= self.remaining() => self.take(count, field),
            _ => Err(Refusal::new(
                Code::StringTooLong,
                field.to_string(),
                format!(
                    "a length of at most {}, what is left of the file",
                    self.remaining()
                ),
                length,
            )
            .at(start)),
        }
    }
}

/// The first four bytes; callers have checked that they are there.
pub(super) fn le_u32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// The first eight bytes; callers have checked that they are there.
pub(super) fn le_u64(bytes: &[u8]) -> u64 {
    u64::from(le_u32(bytes)) | u64::from(le_u32(&bytes[4..])) << 32
}
