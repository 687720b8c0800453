//! A call of one single kernel, and how bytes travel in an array of numbers.
#![forbid(unsafe_code)]

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which kernel, and how long what it reads is. The array of the same frame holds the values it
/// reads, then the bytes, four to a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case", deny_unknown_fields)]
pub enum Call {
    /// What the library can do with a type.
    Describe {
        /// The type's number in the library.
        kind: i32,
    },
    /// Rows of values as a file stores them. Reads values, gives bytes.
    Encode {
        /// The type's number.
        kind: i32,
        /// Length of a row.
        columns: usize,
        /// Number of rows.
        rows: usize,
    },
    /// The values of stored rows. Reads bytes, gives values.
    Decode {
        /// The type's number.
        kind: i32,
        /// How many values.
        count: usize,
        /// How many bytes.
        bytes: usize,
    },
    /// The two-bit codes of stored blocks, found out by dot products: what a library that has no
    /// decoder takes them for. Reads bytes, gives one byte a code.
    Codes {
        /// The type's number.
        kind: i32,
        /// How many codes.
        count: usize,
    },
    /// A row of activations as dot products take it. Reads values; gives bytes, and where the
    /// bytes do not hold it, the scale as a value and the sum.
    Activation {
        /// The type's number.
        kind: i32,
        /// How many values.
        count: usize,
    },
    /// Dot products of stored rows with one row of activations. Reads the bytes of the rows, then
    /// those of the activations; gives a value a row.
    Dot {
        /// The number of the rows' type.
        kind: i32,
        /// Length of a row.
        columns: usize,
        /// Number of rows.
        rows: usize,
        /// Bytes of all rows.
        weights: usize,
        /// Bytes of the activations.
        activations: usize,
    },
}

impl Call {
    /// How many values and how many bytes it reads, if they can be counted.
    pub fn reads(self) -> Option<(usize, usize)> {
        match self {
            Call::Describe { .. } => Some((0, 0)),
            Call::Encode { columns, rows, .. } => Some((columns.checked_mul(rows)?, 0)),
            Call::Decode { bytes, .. } => Some((0, bytes)),
            Call::Codes { count, .. } => Some((0, count / 4)),
            Call::Activation { count, .. } => Some((count, 0)),
            Call::Dot {
                weights,
                activations,
                ..
            } => Some((0, weights.checked_add(activations)?)),
        }
    }
}

/// As a phase: what is being done when the library dies of it.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::Describe { kind } => write!(f, "describing type {kind}"),
            Call::Encode {
                kind,
                columns,
                rows,
            } => write!(f, "encoding {rows} rows of {columns} as type {kind}"),
            Call::Decode { kind, count, .. } => write!(f, "decoding {count} of type {kind}"),
            Call::Codes { kind, count } => write!(f, "reading {count} codes of type {kind}"),
            Call::Activation { kind, count } => {
                write!(f, "quantising {count} activations to type {kind}")
            }
            Call::Dot {
                kind,
                columns,
                rows,
                ..
            } => write!(f, "multiplying {rows} rows of {columns} of type {kind}"),
        }
    }
}

/// Bytes as numbers, the last one filled up with zeros. Most are no sensible floats and some are
/// signalling NaNs, so nothing may compute with them.
pub fn pack(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.chunks(4).map(|chunk| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        f32::from_bits(u32::from_le_bytes(word))
    })
}

/// The bytes in numbers, as many as there were; nothing if the numbers are not as many as that.
pub fn unpack(numbers: &[f32], length: usize) -> Option<Vec<u8>> {
    let whole = numbers.len() == length.div_ceil(4);
    let bytes = numbers.iter().flat_map(|n| n.to_bits().to_le_bytes());
    whole.then(|| bytes.take(length).collect())
}

/// The values and the bytes of an array, each as many as said.
pub fn parts(mut array: Vec<f32>, values: usize, bytes: usize) -> Option<(Vec<f32>, Vec<u8>)> {
    let packed = array.get(values..)?;
    let bytes = unpack(packed, bytes)?;
    array.truncate(values);
    Some((array, bytes))
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::frame;
    use super::*;

    #[test]
    fn every_pattern_of_bits_survives_the_channel() {
        // Quiet and signalling NaNs of both signs, infinities, subnormals, and all bytes in turn.
        let mut bytes: Vec<u8> = (0..=255).collect();
        for pattern in [0x7f80_0001_u32, 0xff80_0001, 0x7fc0_1234, 0xffff_ffff] {
            bytes.extend(pattern.to_le_bytes());
        }
        bytes.extend([0x00, 0x00, 0x80, 0x7f, 1, 0, 0, 0]);
        for cut in 0..4 {
            let bytes = &bytes[..bytes.len() - cut];
            let values = [f32::from_bits(0x7fa0_0001), -0.0];
            let array: Vec<f32> = values.iter().copied().chain(pack(bytes)).collect();
            let mut stream = Vec::new();
            frame::write(&mut stream, &"header", &array).expect("memory takes all");
            let (_, array): (String, _) = frame::read(&mut &stream[..]).expect("as written");
            let (back, unpacked) = parts(array, 2, bytes.len()).expect("as long as said");
            assert_eq!(unpacked, bytes);
            assert_eq!(back.map(), values.to_vec().map());
        }
    }

    trait Bits {
        fn map(&self) -> Vec<u32>;
    }

    impl Bits for Vec<f32> {
        fn map(&self) -> Vec<u32> {
            self.iter().map(|v| v.to_bits()).collect()
        }
    }

    #[test]
    fn an_array_of_another_length_is_not_unpacked() {
        assert_eq!(unpack(&[0.0, 0.0], 4), None);
        assert_eq!(unpack(&[0.0], 5), None);
        assert_eq!(parts(vec![1.0], 2, 0), None);
        assert_eq!(parts(vec![1.0, 2.0], 1, 0), None);
        let endless = Call::Encode {
            kind: 0,
            columns: usize::MAX,
            rows: 2,
        };
        assert_eq!(endless.reads(), None);
    }
}
