//! Frames: a message as MessagePack, with its length in front.
//!
//! The reader does not trust the writer: the length has a cap, memory grows with what has really
//! arrived, and a frame that ends early is told from a stream that ended.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The first bytes of every frame.
const MAGIC: [u8; 4] = *b"hrn2";
/// Those and the length.
const START: usize = MAGIC.len() + 4;
/// Room in bytes that is made for what has not arrived yet.
const AHEAD: usize = 64 << 20;
/// Longest message in bytes: 1 GiB of floats, and what is said beside them.
pub(super) const LENGTH_MAX: u32 = (1 << 30) + (16 << 20);

/// Why there is no frame.
#[derive(Debug)]
pub enum Broken {
    /// The stream ended between two frames.
    End,
    /// Reading failed.
    Io(io::Error),
    /// The bytes are no frame.
    Malformed(String),
}

/// Writes one frame.
pub fn write(out: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut bytes = vec![0; START];
    rmp_serde::encode::write_named(&mut bytes, message).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len() - START).ok();
    let Some(length) = length.filter(|length| *length <= LENGTH_MAX) else {
        let message = "the message is too long";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    };
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4..START].copy_from_slice(&length.to_le_bytes());
    out.write_all(&bytes)?;
    out.flush()
}

/// Reads one frame.
pub fn read<T: DeserializeOwned>(from: &mut impl Read) -> Result<T, Broken> {
    read_within(from, LENGTH_MAX)
}

/// The same of a message that is no longer than that.
pub fn read_within<T: DeserializeOwned>(from: &mut impl Read, most: u32) -> Result<T, Broken> {
    let start = up_to(from, START as u32)?;
    let Some((magic, length)) = start.split_first_chunk().filter(|_| start.len() == START) else {
        return Err(if start.is_empty() { Broken::End } else { cut() });
    };
    if *magic != MAGIC {
        return Err(Broken::Malformed(format!("{start:02x?} begins no frame")));
    }
    let length = u32::from_le_bytes(length.try_into().expect("four bytes are left"));
    if length > most {
        let message = format!("a message of {length} bytes is too long");
        return Err(Broken::Malformed(message));
    }
    let bytes = up_to(from, length)?;
    if bytes.len() < length as usize {
        return Err(cut());
    }
    rmp_serde::from_slice(&bytes)
        .map_err(|e| Broken::Malformed(format!("the message of a frame: {e}")))
}

fn up_to(from: &mut impl Read, length: u32) -> Result<Vec<u8>, Broken> {
    let mut bytes = Vec::new();
    loop {
        let part = AHEAD.min(length as usize - bytes.len());
        // Left to itself, a vector makes room for twice as much as it holds.
        let room = bytes.try_reserve_exact(part);
        room.map_err(|e| Broken::Malformed(format!("a message of {length} bytes: {e}")))?;
        let read = from.by_ref().take(part as u64).read_to_end(&mut bytes);
        if read.map_err(Broken::Io)? < part || bytes.len() == length as usize {
            return Ok(bytes);
        }
    }
}

fn cut() -> Broken {
    Broken::Malformed("the stream ended within a frame".into())
}

#[cfg(test)]
mod tests {
    use super::super::message::{Part, Reply};
    use super::*;
    use crate::case::observation::TracedNode;

    fn malformed(bytes: &[u8]) -> String {
        match read::<String>(&mut &bytes[..]) {
            Err(Broken::Malformed(what)) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_pattern_of_bits_comes_back_and_the_stream_ends_after_it() {
        // Quiet and signalling NaNs of both signs, infinities, a subnormal, minus zero.
        let bits = [
            0x7f80_0001_u32,
            0xff80_0001,
            0x7fc0_1234,
            0xffff_ffff,
            0x7f80_0000,
            1,
            1 << 31,
        ];
        let node = TracedNode {
            key: "kq-0|MUL_MAT#0".into(),
            shape: vec![7],
            values: bits.map(f32::from_bits).to_vec(),
        };
        let mut bytes = Vec::new();
        write(&mut bytes, &Part::Node(node)).expect("memory takes all");
        let mut stream = &bytes[..];
        let Ok(Part::Node(back)) = read(&mut stream) else {
            panic!("as written");
        };
        let found: Vec<u32> = back.values.iter().map(|v| v.to_bits()).collect();
        assert_eq!(found, bits);
        assert!(matches!(read::<Part>(&mut stream), Err(Broken::End)));
    }

    #[test]
    fn a_message_takes_the_memory_that_it_is_long() {
        for length in [0, 3, AHEAD, AHEAD + 1, 2 * AHEAD + 5] {
            let bytes = up_to(&mut io::repeat(7), length as u32).expect("endless");
            assert_eq!((bytes.len(), bytes.capacity()), (length, length));
        }
        let cut = up_to(&mut &[1; 9][..], 1 << 30).expect("what there is");
        assert_eq!(cut, [1; 9]);
        assert!(cut.capacity() <= AHEAD);
    }

    /// The text of a frame is never there twice.
    #[test]
    fn words_are_cut_off_where_they_are_read() {
        let endless = Reply::Phase {
            name: "x".repeat(1 << 20),
        };
        let mut bytes = Vec::new();
        write(&mut bytes, &endless).expect("memory takes all");
        let Ok(Reply::Phase { name }) = read(&mut &bytes[..]) else {
            panic!("as written");
        };
        assert!(name.ends_with("(1048576 bytes in all)"), "{name}");
        assert!(name.capacity() < 1 << 12);
    }

    #[test]
    fn whatever_is_no_frame_is_malformed_with_a_reason() {
        let mut bytes = Vec::new();
        write(&mut bytes, &"message").expect("memory takes all");
        for end in 1..bytes.len() {
            assert!(malformed(&bytes[..end]).contains("within a frame"), "{end}");
        }
        assert!(malformed(b"GGML_ASSERT: no").contains("begins no frame"));
        let with = |at: usize, byte: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            malformed(&bytes)
        };
        assert!(with(7, 0xff).contains("too long"), "the length");
        assert!(with(START, 0xc1).contains("message"), "MessagePack");
    }
}
