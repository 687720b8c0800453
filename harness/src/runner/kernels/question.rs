//! What is asked, what comes back, and whether two answers are the same bits.

use ffi::TypeFacts;
use serde::Serialize;

use super::activations::Activations;
use crate::file::document::Format;
use crate::reference::isolation::{Call, WorkerExit};

pub use crate::reference::isolation::Computed as Answer;

/// A call and what it reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Which kernel, and how much.
    pub call: Call,
    /// The values it reads.
    pub values: Vec<f32>,
    /// The bytes it reads.
    pub bytes: Vec<u8>,
}

impl Question {
    fn new(call: Call, values: &[f32], bytes: Vec<u8>) -> Self {
        Question {
            call,
            values: values.to_vec(),
            bytes,
        }
    }

    /// What are these rows of values as a file stores them?
    pub fn encode(format: Format, columns: usize, values: &[f32]) -> Self {
        let call = Call::Encode {
            kind: format.kind(),
            columns,
            rows: values.len() / columns,
            weighted: false,
        };
        Self::new(call, values, Vec::new())
    }

    /// The same, where errors in some columns matter more.
    pub fn encode_weighted(format: Format, values: &[f32], importance: &[f32]) -> Self {
        let columns = importance.len();
        let call = Call::Encode {
            kind: format.kind(),
            columns,
            rows: values.len() / columns,
            weighted: true,
        };
        Self::new(call, &[values, importance].concat(), Vec::new())
    }

    /// The values to encode, and the importance of the columns if there is one.
    pub fn matrix(&self) -> (&[f32], Option<&[f32]>) {
        let Call::Encode {
            columns,
            rows,
            weighted,
            ..
        } = self.call
        else {
            return (&self.values, None);
        };
        let (values, importance) = self.values.split_at(rows * columns);
        (values, weighted.then_some(importance))
    }

    /// What are these values as dot products take them?
    pub fn activation(form: Activations, values: &[f32]) -> Self {
        let (kind, count) = (form.kind, values.len());
        Self::new(Call::Activation { kind, count }, values, Vec::new())
    }

    /// Which values are these stored blocks? Of two-bit weights, which codes.
    pub fn decode(format: Format, stored: &[u8]) -> Self {
        let (kind, block, bytes) = (format.kind(), format.block(), stored.len());
        let count = bytes / format.row_bytes(block) * block;
        let call = if format.is_i2_s() {
            Call::Codes { kind, count }
        } else {
            Call::Decode { kind, count }
        };
        Self::new(call, &[], stored.to_vec())
    }

    /// What are the products of these stored rows with one row of activations?
    pub fn dot(format: Format, columns: usize, weights: &[u8], activations: &[u8]) -> Self {
        let call = Call::Dot {
            kind: format.kind(),
            columns,
            rows: weights.len() / format.row_bytes(columns),
            weights: weights.len(),
            activations: activations.len(),
        };
        Self::new(call, &[], [weights, activations].concat())
    }

    /// The format of the rows it is about.
    pub fn format(&self) -> Option<Format> {
        match self.call {
            Call::Encode { kind, .. }
            | Call::Decode { kind, .. }
            | Call::Codes { kind, .. }
            | Call::Dot { kind, .. } => Format::of_kind(kind),
            Call::Activation { .. } => None,
        }
    }
}

/// A backend that answers questions about kernels.
pub trait Computer {
    /// What it can do with a type; nothing if it does not know it.
    fn describe(&mut self, kind: i32) -> Result<Option<TypeFacts>, WorkerExit>;

    /// Computes.
    fn compute(&mut self, question: &Question) -> Result<Answer, WorkerExit>;
}

/// A place in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// One of the values.
    Value(usize),
    /// One of the bytes.
    Byte(usize),
    /// The sum.
    Sum,
    /// The number of values or bytes.
    Length,
}

/// A place where two answers differ, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Where.
    pub place: String,
    /// What the reference said there.
    pub theirs: String,
    /// What we said.
    pub ours: String,
}

impl Answer {
    /// How many numbers it holds.
    pub fn size(&self) -> usize {
        self.values.len() + self.bytes.len() + usize::from(self.sum.is_some())
    }

    /// The places where another answer does not have the same bits.
    pub fn differing(&self, other: &Answer) -> Vec<Place> {
        let lengths = |answer: &Answer| (answer.values.len(), answer.bytes.len());
        if lengths(self) != lengths(other) {
            return vec![Place::Length];
        }
        let values = self.values.iter().zip(&other.values).enumerate();
        let values = values.filter(|(_, (x, y))| x.to_bits() != y.to_bits());
        let bytes = self.bytes.iter().zip(&other.bytes).enumerate();
        let bytes = bytes.filter(|(_, (x, y))| x != y);
        let sum = (self.sum != other.sum).then_some(Place::Sum);
        values
            .map(|(index, _)| Place::Value(index))
            .chain(bytes.map(|(index, _)| Place::Byte(index)))
            .chain(sum)
            .collect()
    }

    /// What it says at a place, floats with their bits.
    fn at(&self, place: Place) -> String {
        match place {
            Place::Value(index) => {
                let value = self.values[index];
                format!("{value:e} ({:#010x})", value.to_bits())
            }
            Place::Byte(index) => format!("{:#04x}", self.bytes[index]),
            Place::Sum => self.sum.map_or("none".into(), |sum| sum.to_string()),
            Place::Length => format!("{} values, {} bytes", self.values.len(), self.bytes.len()),
        }
    }
}

impl Difference {
    /// The difference at that place.
    pub fn at(place: Place, theirs: &Answer, ours: &Answer) -> Self {
        Difference {
            place: match place {
                Place::Value(index) => format!("value {index}"),
                Place::Byte(index) => format!("byte {index}"),
                Place::Sum => "the sum".into(),
                Place::Length => "the length".into(),
            },
            theirs: theirs.at(place),
            ours: ours.at(place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_differ_by_their_bits_and_not_by_their_values() {
        let answer = |values: &[f32], byte, sum| Answer {
            values: values.to_vec(),
            bytes: vec![byte],
            sum: Some(sum),
        };
        let one = answer(&[0.0, f32::NAN], 1, 7);
        assert_eq!(one.differing(&one), []);
        let other = answer(&[-0.0, f32::NAN], 2, 8);
        let places = [Place::Value(0), Place::Byte(0), Place::Sum];
        assert_eq!(one.differing(&other), places);
        assert_eq!(one.differing(&answer(&[0.0], 1, 7)), [Place::Length]);
        let said = Difference::at(Place::Value(0), &one, &other);
        assert_eq!(
            (&said.place[..], &said.ours[..]),
            ("value 0", "-0e0 (0x80000000)")
        );
    }
}
