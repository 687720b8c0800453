//! Bytes of tokens into text that can be printed as it comes: a character whose bytes are spread
//! over several tokens waits for the last of them.

/// Holds back the beginning of a character.
#[derive(Default)]
pub struct TextStream {
    held: Vec<u8>,
}

impl TextStream {
    /// Takes the bytes of a token and returns the text they complete. Bytes that can no longer
    /// become a character are replaced.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.held.extend_from_slice(bytes);
        let mut text = String::new();
        let mut done = 0;
        for chunk in self.held.utf8_chunks() {
            text.push_str(chunk.valid());
            done += chunk.valid().len();
            let invalid = chunk.invalid();
            if done + invalid.len() == self.held.len() && may_continue(invalid) {
                break;
            }
            if !invalid.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
                done += invalid.len();
            }
        }
        self.held.drain(..done);
        text
    }

    /// What is left at the end: nothing, or a replacement for a character that never came.
    pub fn finish(self) -> String {
        String::from_utf8_lossy(&self.held).into_owned()
    }
}

/// Whether more bytes could make a character of these.
fn may_continue(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|e| e.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_cut_a_text_gives_the_text() {
        let text = "naïve 語 🐋 ¿?";
        for cut in 0..=text.len() {
            for end in cut..=text.len() {
                let bytes = text.as_bytes();
                let mut stream = TextStream::default();
                let parts = [&bytes[..cut], &bytes[cut..end], &bytes[end..]];
                let shown: String = parts.map(|part| stream.push(part)).concat();
                assert_eq!(shown + &stream.finish(), text, "cut at {cut} and {end}");
            }
        }
    }

    #[test]
    fn what_can_be_shown_is_shown_at_once() {
        let mut stream = TextStream::default();
        assert_eq!(stream.push(b"whale\xf0\x9f"), "whale");
        assert_eq!(stream.push(b"\x90"), "");
        assert_eq!(stream.push(b"\x8b!"), "🐋!");
        assert_eq!(stream.finish(), "");
    }

    #[test]
    fn what_never_becomes_a_character_is_replaced_as_in_a_whole_text() {
        for bytes in [
            &b"a\xffb"[..],
            b"\xe8\xaa",
            b"\xf0\x9f\x90",
            b"\xe8\xe8\xaa\x9e",
            b"\x80\x80",
        ] {
            let mut stream = TextStream::default();
            let shown: String = bytes.iter().map(|byte| stream.push(&[*byte])).collect();
            let whole = String::from_utf8_lossy(bytes);
            assert_eq!(shown + &stream.finish(), whole, "{bytes:x?}");
        }
    }
}
