//! Frames: a header in JSON and an array of numbers, each with its length in front.
//!
//! The reader does not trust the writer: lengths have caps, memory grows with what has
//! really arrived, and a frame that ends early is told from a stream that ended.
#![forbid(unsafe_code)]

use std::io::{self, ErrorKind, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The first bytes of every frame.
const MAGIC: [u8; 4] = *b"hrn1";
/// Longest header in bytes.
const HEADER_MAX: u32 = 16 << 20;
/// Longest array in numbers: 1 GiB of bytes.
const VALUES_MAX: u32 = 1 << 28;
/// Memory asked for at once, in bytes.
const STEP: usize = 1 << 20;

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
pub fn write(out: &mut impl Write, header: &impl Serialize, values: &[f32]) -> io::Result<()> {
    let header = serde_json::to_vec(header)?;
    let too_long = |_| io::Error::new(ErrorKind::InvalidInput, "the frame is too long");
    let lengths = [header.len(), values.len()].map(|n| u32::try_from(n).map_err(too_long));
    let [header_length, count] = lengths;
    let mut bytes = Vec::with_capacity(12 + header.len() + 4 * values.len());
    bytes.extend(MAGIC);
    bytes.extend(header_length?.to_le_bytes());
    bytes.extend(count?.to_le_bytes());
    bytes.extend(header);
    bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    out.write_all(&bytes)?;
    out.flush()
}

/// Reads one frame.
pub fn read<T: DeserializeOwned>(from: &mut impl Read) -> Result<(T, Vec<f32>), Broken> {
    let mut start = [0; 12];
    match from.read(&mut start[..1]).map_err(Broken::Io)? {
        0 => return Err(Broken::End),
        _ => exactly(from, &mut start[1..])?,
    }
    let number = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| start[at + i]));
    let (length, count) = (number(4), number(8));
    if start[..4] != MAGIC {
        return Err(Broken::Malformed(format!("{start:02x?} begins no frame")));
    }
    if length > HEADER_MAX || count > VALUES_MAX {
        let lengths = format!("a header of {length} bytes and {count} numbers is too long");
        return Err(Broken::Malformed(lengths));
    }
    let header = growing(from, length as usize)?;
    let header = serde_json::from_slice(&header);
    let header = header.map_err(|e| Broken::Malformed(format!("the header of a frame: {e}")))?;
    let bytes = growing(from, 4 * count as usize)?;
    let (values, rest) = bytes.as_chunks::<4>();
    debug_assert!(rest.is_empty(), "a multiple of four was read");
    Ok((
        header,
        values.iter().map(|b| f32::from_le_bytes(*b)).collect(),
    ))
}

fn growing(from: &mut impl Read, length: usize) -> Result<Vec<u8>, Broken> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let read = bytes.len();
        bytes.resize(length.min(read + STEP), 0);
        exactly(from, &mut bytes[read..])?;
    }
    Ok(bytes)
}

fn exactly(from: &mut impl Read, bytes: &mut [u8]) -> Result<(), Broken> {
    from.read_exact(bytes).map_err(|e| match e.kind() {
        ErrorKind::UnexpectedEof => Broken::Malformed("the stream ended within a frame".into()),
        _ => Broken::Io(e),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn malformed(bytes: &[u8]) -> String {
        match read::<String>(&mut &bytes[..]) {
            Err(Broken::Malformed(what)) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_frame_comes_back_bit_for_bit_and_the_stream_ends_after_it() {
        let numbers = [0.1, -0.0, f32::NAN, f32::from_bits(1)];
        let mut bytes = Vec::new();
        write(&mut bytes, &"header", &numbers).expect("memory takes all");
        let mut stream = &bytes[..];
        let (header, values): (String, _) = read(&mut stream).expect("as written");
        assert_eq!(header, "header");
        assert_eq!(values.map_bits(), numbers.to_vec().map_bits());
        assert!(matches!(read::<String>(&mut stream), Err(Broken::End)));
    }

    #[test]
    fn whatever_is_no_frame_is_malformed_with_a_reason() {
        let mut bytes = Vec::new();
        write(&mut bytes, &"header", &[1.0]).expect("memory takes all");
        for end in 1..bytes.len() {
            assert!(malformed(&bytes[..end]).contains("within a frame"), "{end}");
        }
        assert!(malformed(b"GGML_ASSERT: no").contains("begins no frame"));
        let with = |at: usize, byte: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            malformed(&bytes)
        };
        assert!(with(7, 0xff).contains("too long"), "length of the header");
        assert!(with(11, 0xff).contains("too long"), "length of the array");
        assert!(with(12, b'{').contains("header"), "JSON");
    }

    trait Bits {
        fn map_bits(&self) -> Vec<u32>;
    }

    impl Bits for Vec<f32> {
        fn map_bits(&self) -> Vec<u32> {
            self.iter().map(|v| v.to_bits()).collect()
        }
    }
}
