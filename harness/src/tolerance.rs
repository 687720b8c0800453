//! The closed ladder of tolerances: what each demands, and why it exists. Nowhere else.
#![forbid(unsafe_code)]

pub mod local;

use serde::{Deserialize, Serialize};

/// How equal two observations have to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tolerance {
    /// The same order of float operations: every bit of every logit and node.
    #[serde(rename = "t0-exact")]
    Exact,
    /// Small roundings forgiven. No comparison is judged by it; it measures what bits see that a
    /// good tolerance would not.
    #[serde(rename = "same-arithmetic")]
    SameArithmetic,
    /// Another order of float operations: the distance is reported, not judged.
    #[serde(rename = "other-arithmetic")]
    OtherArithmetic,
}

/// The numbers behind a tolerance that judges distances.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Smallest cosine at any position.
    pub cosine_min: f64,
    /// Largest median, over the positions of a lane, of the NMSE.
    pub nmse_median_max: f64,
    /// Largest NMSE at any position, and of any traced node.
    pub nmse_max: f64,
}

impl Tolerance {
    /// Which one applies to a reference whose arithmetic is `theirs`.
    pub fn between(theirs: &str, ours: &str) -> Self {
        match theirs == ours {
            true => Tolerance::Exact,
            false => Tolerance::OtherArithmetic,
        }
    }

    /// As in receipts and tables.
    pub fn name(self) -> &'static str {
        match self {
            Tolerance::Exact => "t0-exact",
            Tolerance::SameArithmetic => "same-arithmetic",
            Tolerance::OtherArithmetic => "other-arithmetic",
        }
    }

    /// Why this rung exists.
    pub fn because(self) -> &'static str {
        match self {
            Tolerance::Exact => {
                "the same float operations in the same order have the same results, whoever does \
                 them"
            }
            Tolerance::SameArithmetic => {
                "one rounding that falls the other way flips an int8 code here and there: the \
                 median over positions stays at the rounding floor, single positions may not"
            }
            Tolerance::OtherArithmetic => {
                "two builds of the reference for different instruction sets are this far apart \
                 themselves, so the distance says nothing about the engine"
            }
        }
    }

    /// The distances it allows; none where distances are not what is judged.
    pub fn limits(self) -> Option<Limits> {
        match self {
            // The reference's own builds: median 7e-15 and maximum 2e-5 between AVX2 and AVX-512.
            // An error of substance moves the median, so the median is held tight and only single
            // positions get room. The cosine is a last line: it sees nothing the others miss.
            Tolerance::SameArithmetic => Some(Limits {
                cosine_min: 0.9999,
                nmse_median_max: 1e-9,
                nmse_max: 1e-4,
            }),
            Tolerance::Exact | Tolerance::OtherArithmetic => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_arithmetic_means_the_same_bits() {
        assert_eq!(
            Tolerance::between("ggml-avx512", "ggml-avx512"),
            Tolerance::Exact
        );
        assert_eq!(
            Tolerance::between("ggml-avx2", "ggml-avx512"),
            Tolerance::OtherArithmetic
        );
    }

    #[test]
    fn names_are_what_receipts_hold() {
        for tolerance in [
            Tolerance::Exact,
            Tolerance::SameArithmetic,
            Tolerance::OtherArithmetic,
        ] {
            let json = serde_json::to_string(&tolerance).expect("plain enum");
            assert_eq!(json, format!("{:?}", tolerance.name()));
            assert!(!tolerance.because().is_empty());
        }
    }
}
