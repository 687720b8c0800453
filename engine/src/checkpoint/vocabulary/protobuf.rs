//! The fields of a protocol buffer, one after the other, each checked against the bytes there are.

use crate::refusal::{Code, Refusal};

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// A number, or a switch.
    Number(u64),
    /// Four bytes.
    Fixed([u8; 4]),
    /// A text, or fields of its own.
    Bytes(Message<'a>),
    /// Eight bytes, which nobody here asks for.
    Other,
}

/// Bytes that are fields, and where they begin in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Message<'a> {
    file: &'a str,
    /// All of them.
    pub bytes: &'a [u8],
    start: usize,
}

impl<'a> Message<'a> {
    /// The whole of a file.
    pub fn of_file(file: &'a str, bytes: &'a [u8]) -> Self {
        let start = 0;
        Message { file, bytes, start }
    }

    /// Number and value of each field, in order.
    pub fn fields(self) -> impl Iterator<Item = Result<(u64, Value<'a>), Refusal>> {
        let mut at = 0;
        let mut failed = false;
        std::iter::from_fn(move || {
            if failed || at == self.bytes.len() {
                return None;
            }
            let field = self.field(&mut at);
            failed = field.is_err();
            Some(field)
        })
    }

    /// The text that the bytes are.
    pub fn text(self) -> Result<&'a str, Refusal> {
        std::str::from_utf8(self.bytes).map_err(|e| {
            let found = "bytes that are none";
            self.refuse(e.valid_up_to(), "a text in UTF-8", found)
        })
    }

    /// A refusal of what begins at a byte of these.
    pub fn refuse(self, at: usize, expected: &str, found: impl std::fmt::Display) -> Refusal {
        let refusal = Refusal::new(Code::VocabInvalid, self.file, expected, found);
        refusal.at((self.start + at) as u64)
    }

    fn field(self, at: &mut usize) -> Result<(u64, Value<'a>), Refusal> {
        let begin = *at;
        let tag = self.varint(at)?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint(at)?),
            1 => {
                self.take(at, 8)?;
                Value::Other
            }
            2 => {
                let length = self.varint(at)?;
                let bytes = self.take(at, length)?;
                Value::Bytes(Message {
                    bytes,
                    start: self.start + *at - bytes.len(),
                    ..self
                })
            }
            5 => {
                let bytes = self.take(at, 4)?;
                Value::Fixed(bytes.try_into().expect("four were taken"))
            }
            other => {
                let rule = "a wire type of 0, 1, 2 or 5";
                return Err(self.refuse(begin, rule, other));
            }
        };
        Ok((tag >> 3, value))
    }

    fn take(self, at: &mut usize, length: u64) -> Result<&'a [u8], Refusal> {
        let left = &self.bytes[*at..];
        let taken = usize::try_from(length).ok().and_then(|n| left.get(..n));
        let taken = taken.ok_or_else(|| {
            let rule = format!("{length} bytes");
            self.refuse(*at, &rule, format!("{} to the end", left.len()))
        })?;
        *at += taken.len();
        Ok(taken)
    }

    /// Seven bits a byte, the lowest first; the last byte is below 128.
    fn varint(self, at: &mut usize) -> Result<u64, Refusal> {
        let begin = *at;
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = *self.take(at, 1)? else {
                unreachable!("one was taken");
            };
            number |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Ok(number);
            }
        }
        Err(self.refuse(begin, "a number of at most ten bytes", "more"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<(u64, Value<'_>)>, Refusal> {
        Message::of_file("f", bytes).fields().collect()
    }

    #[test]
    fn fields_are_read_by_their_wire_types() {
        let bytes = [0x08, 0x96, 0x01, 0x15, 0, 0, 0x80, 0x3f, 0x1a, 1, b'x'];
        let fields = read(&bytes).expect("sound");
        assert_eq!(fields[0], (1, Value::Number(150)));
        assert_eq!(fields[1], (2, Value::Fixed(1f32.to_le_bytes())));
        let (3, Value::Bytes(text)) = fields[2] else {
            panic!("{fields:?}");
        };
        assert_eq!((text.text().expect("text"), text.start), ("x", 10));
    }

    #[test]
    fn every_cut_and_every_lie_is_refused_with_its_byte() {
        for (bytes, at) in [
            (&[0x08][..], 1),
            (&[0x08, 0x96], 2),
            (&[0x1a, 5, b'x'], 2),
            (&[0x15, 0, 0], 1),
            (&[0x0b], 0),
            (&[0xff; 12], 0),
            (
                &[
                    0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
                ],
                11,
            ),
        ] {
            let refusal = read(bytes).expect_err("refused");
            assert_eq!(refusal.offset, Some(at), "{bytes:?}: {refusal}");
        }
        let text = Message::of_file("f", &[b'a', 0xff]).text();
        assert_eq!(text.expect_err("refused").offset, Some(1));
    }
}
