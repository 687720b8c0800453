//! What is demanded of one operation alone, on the reference's own inputs.

use serde::Serialize;
use serde_variant::to_variant_name;

use super::{ArithmeticGap, tolerances};

/// How equal one operation's two results have to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// Every bit.
    Bits,
    /// Both sum in single precision, in another order.
    OtherOrder,
    /// One side sums in half precision.
    HalfSums,
    /// One side rounds other things, or nobody knows what: no single operation was measured.
    Unmeasured,
}

impl Rung {
    /// Which one applies between two arithmetics.
    pub fn between(theirs: &str, ours: &str) -> Self {
        match ArithmeticGap::profiles(theirs, ours) {
            ArithmeticGap::Nothing => Rung::Bits,
            ArithmeticGap::Halves => Rung::HalfSums,
            ArithmeticGap::Order | ArithmeticGap::Path => Rung::OtherOrder,
            _ => Rung::Unmeasured,
        }
    }

    /// As in tables.
    pub fn name(self) -> &'static str {
        to_variant_name(&self).expect("a variant without fields")
    }

    /// The largest difference of any element, in units of the node's root mean square.
    pub fn peak_max(self) -> f64 {
        match self {
            Rung::Bits => 0.0,
            Rung::OtherOrder => tolerances().operation.other_order,
            Rung::HalfSums => tolerances().operation.half_sums,
            Rung::Unmeasured => f64::INFINITY,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rung_follows_from_the_two_names() {
        assert_eq!(Rung::between("ggml-avx2", "ggml-avx2"), Rung::Bits);
        assert_eq!(Rung::between("ggml-neon", "ggml-avx2"), Rung::OtherOrder);
        assert_eq!(Rung::between("ggml-neon-fp16", "ggml-avx2"), Rung::HalfSums);
        assert_eq!(Rung::between("unnamed", "ggml-avx2"), Rung::Unmeasured);
        assert!(Rung::OtherOrder.peak_max() < Rung::HalfSums.peak_max());
    }
}
