//! Weights, tensor by tensor: the values they stand for and what they multiply to, against a
//! library's own functions or against hashes of what these once said.
//!
//! No distance between logits sees a scale that is off by 1e-4 or one wrong code among a million;
//! equality of every decoded value does.

mod compared;
pub(crate) mod layouts;
mod library;
mod measure;
pub(crate) mod record;
pub(crate) mod subject;
pub(crate) mod table;

use engine::flavor::Shape;
use serde::Serialize;

pub(crate) use compared::{Compared, Report};
pub use library::Library;
pub use measure::{Engine, Tensor};
pub use record::Record;

/// What was found out about one tensor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Its name.
    pub tensor: String,
    /// How its elements are written, e.g. `i2_s-p128`.
    pub encoding: String,
    /// Elements.
    pub elements: usize,
    /// Whether the values are the same bits.
    pub decoded: Verdict,
    /// Whether the product of the matrix with a row of activations is.
    pub product: Verdict,
    /// Whether the library, given our values, writes the bytes of the file again; on record:
    /// whether ternary weights in other packings are those that it knows.
    pub encoded: Verdict,
}

/// Whether one thing about a tensor agrees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "is", content = "why", rename_all = "snake_case")]
pub enum Verdict {
    /// Every bit.
    Equal,
    /// Not every bit, and where.
    Different(String),
    /// The library has nothing to compare with, which is a property of the library.
    Declined(String),
    /// It was to be compared and was not.
    NotCompared(String),
    /// There is no such thing, as the product of a vector.
    None,
}

impl Verdict {
    /// Equal or different, where there are two to compare.
    pub fn of(equal: bool, difference: impl FnOnce() -> String) -> Self {
        if equal {
            Verdict::Equal
        } else {
            Verdict::Different(difference())
        }
    }

    /// Whether it is a difference.
    pub fn differs(&self) -> bool {
        matches!(self, Verdict::Different(_))
    }

    /// Whether there were two to compare.
    pub fn is_settled(&self) -> bool {
        matches!(self, Verdict::Equal | Verdict::Different(_))
    }

    /// What is declared to be comparable cannot be declined.
    fn declared(&mut self) {
        if let Verdict::Declined(why) = self {
            *self = Verdict::NotCompared(format!("it answered when it was recorded, now {why}"));
        }
    }
}

impl Finding {
    /// About a tensor of which nothing was compared yet.
    pub fn new(tensor: &Tensor) -> Self {
        let Shape { rows, cols } = tensor.shape;
        let encoding = tensor.encoding();
        let encoding = match tensor.format() {
            Some(_) => encoding.to_owned(),
            None => format!("{encoding} as f32"),
        };
        Self::of(&tensor.name, &encoding, rows * cols)
    }

    /// About whatever has that name, of which nothing was compared yet.
    pub fn of(tensor: &str, encoding: &str, elements: usize) -> Self {
        Finding {
            tensor: tensor.into(),
            encoding: encoding.into(),
            elements,
            decoded: Verdict::None,
            product: Verdict::None,
            encoded: Verdict::None,
        }
    }

    /// What is known of its parts, by name.
    pub fn parts(&self) -> [(&'static str, &Verdict); 3] {
        [
            ("values", &self.decoded),
            ("product", &self.product),
            ("bytes", &self.encoded),
        ]
    }
}
