//! The closed ladder of tolerances: what each tier demands, and why it exists. The numbers are in
//! `tolerances.toml`, and nowhere else.

mod arithmetic_gap;
pub mod file;
pub mod local;
pub mod table;

use serde::{Deserialize, Serialize};
use serde_variant::to_variant_name;

pub use self::arithmetic_gap::ArithmeticGap;
pub use self::file::{Floor, Gates, Measured, Tier, Tolerances, tolerances};

/// How equal two observations have to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Tolerance {
    /// Every bit of every logit, node and token.
    #[serde(rename = "t0-exact")]
    Exact,
    /// The same mathematics in another order.
    #[serde(rename = "t1-other-order")]
    OtherOrder,
    /// Prefill against decode of one build.
    #[serde(rename = "t1p-other-path")]
    OtherPath,
    /// Activations or their sums in another precision.
    #[serde(rename = "t2-other-activations")]
    OtherActivations,
    /// Other weights, or nobody knows what: reported, never judged.
    #[serde(rename = "t3-other-weights")]
    OtherWeights,
}

impl Tolerance {
    /// The ladder, the strictest first.
    pub const ALL: [Tolerance; 5] = [
        Tolerance::Exact,
        Tolerance::OtherOrder,
        Tolerance::OtherPath,
        Tolerance::OtherActivations,
        Tolerance::OtherWeights,
    ];

    /// As in receipts and tables.
    pub fn name(self) -> &'static str {
        to_variant_name(&self).expect("a variant without fields")
    }

    /// Whether distances decide: not where bits do, and not where nothing does.
    pub fn is_measured(self) -> bool {
        !matches!(self, Tolerance::Exact | Tolerance::OtherWeights)
    }
}
