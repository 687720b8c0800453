//! The data section of a file that is written piece by piece, so that no more of it has to be in
//! memory than the piece at hand.

use std::io::{self, ErrorKind, Write};

/// Takes the bytes of the declared tensors, in order and exactly as many as were declared.
pub struct Data<W> {
    out: W,
    at: u64,
    alignment: u64,
    lens: std::vec::IntoIter<u64>,
    /// What is missing of the tensor that was begun.
    open: u64,
}

impl<W: Write> Data<W> {
    pub(super) fn behind(head: u64, out: W, alignment: u64, lens: Vec<u64>) -> Self {
        Data {
            out,
            at: head,
            alignment,
            lens: lens.into_iter(),
            open: 0,
        }
    }

    /// Writes a tensor, or the next piece of it.
    pub fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.open == 0 {
            let Some(len) = self.lens.next() else {
                return Err(miscounted("data behind the last tensor"));
            };
            self.pad()?;
            self.open = len;
        }
        let len = bytes.len() as u64;
        let Some(open) = self.open.checked_sub(len) else {
            return Err(miscounted("more data than the tensor was declared with"));
        };
        self.out.write_all(bytes)?;
        (self.open, self.at) = (open, self.at + len);
        Ok(())
    }

    /// Ends the file.
    pub fn finish(mut self) -> io::Result<W> {
        if self.open > 0 || self.lens.any(|len| len > 0) {
            return Err(miscounted("less data than was declared"));
        }
        self.pad()?;
        Ok(self.out)
    }

    fn pad(&mut self) -> io::Result<()> {
        let padded = self.at.next_multiple_of(self.alignment);
        let zeros = io::repeat(0);
        io::copy(&mut io::Read::take(zeros, padded - self.at), &mut self.out)?;
        self.at = padded;
        Ok(())
    }
}

fn miscounted(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, what)
}

#[cfg(test)]
mod tests {
    use crate::gguf::Writer;

    #[test]
    fn pieces_make_the_same_file_and_a_wrong_number_of_bytes_makes_none() {
        let writer = Writer::new(3).key("k", 1u32);
        let whole = writer.clone().tensor("a", &[5], 24, vec![1, 2, 3, 4, 5]);
        let whole = whole.tensor("b", &[1], 24, vec![6]).finish();
        let declared = writer.declare("a", &[5], 24, 5).declare("b", &[1], 24, 1);
        let written = |pieces: &[&[u8]]| {
            let mut data = declared.begin(Vec::new())?;
            pieces.iter().try_for_each(|piece| data.put(piece))?;
            data.finish()
        };
        assert_eq!(
            written(&[&[1, 2], &[3, 4, 5], &[6]]).expect("counted"),
            whole
        );
        for pieces in [&[&[1u8, 2][..], &[3, 4, 5, 6]][..], &[&[1, 2, 3, 4, 5]]] {
            assert!(written(pieces).is_err(), "{pieces:?}");
        }
        assert!(written(&[&[1, 2, 3, 4, 5], &[6], &[7]]).is_err());
    }
}
