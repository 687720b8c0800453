//! What sets two lanes apart, from their names alone; the tier follows from it.

use serde::{Deserialize, Serialize};

use super::Tolerance;

/// What sets two lanes apart. Each kind that is judged by distances has floors of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArithmeticGap {
    /// Nothing.
    Nothing,
    /// The order in which single-precision sums are made.
    Order,
    /// Prefill here, decode there.
    Path,
    /// One of them sums in half precision.
    Halves,
    /// One of them is ik_llama.cpp, on F32 weights or on its own IQ2_BN.
    Ik,
    /// One of them is llama.cpp on F32 weights.
    Llama,
    /// More than that, or nobody knows what.
    Unknown,
}

/// Which family a profile belongs to.
#[derive(PartialEq, Eq)]
enum Family {
    Singles,
    Halves,
    Ik,
    Llama,
    Unknown,
}

impl ArithmeticGap {
    /// All that are judged by distances.
    pub const MEASURED: [ArithmeticGap; 5] = [
        ArithmeticGap::Order,
        ArithmeticGap::Path,
        ArithmeticGap::Halves,
        ArithmeticGap::Ik,
        ArithmeticGap::Llama,
    ];

    /// What sets apart the same way through two profiles.
    pub fn profiles(theirs: &str, ours: &str) -> Self {
        if theirs == ours {
            return ArithmeticGap::Nothing;
        }
        use Family::{Halves, Ik, Llama, Singles};
        match [Family::of(theirs), Family::of(ours)] {
            [Singles, Singles] => ArithmeticGap::Order,
            [Halves, Singles] | [Singles, Halves] => ArithmeticGap::Halves,
            [Ik, Singles] | [Singles, Ik] => ArithmeticGap::Ik,
            [Llama, Singles] | [Singles, Llama] => ArithmeticGap::Llama,
            _ => ArithmeticGap::Unknown,
        }
    }

    /// The tier of such a difference.
    pub fn tier(self) -> Tolerance {
        match self {
            ArithmeticGap::Nothing => Tolerance::Exact,
            ArithmeticGap::Order => Tolerance::OtherOrder,
            ArithmeticGap::Path => Tolerance::OtherPath,
            ArithmeticGap::Halves | ArithmeticGap::Ik | ArithmeticGap::Llama => {
                Tolerance::OtherActivations
            }
            ArithmeticGap::Unknown => Tolerance::OtherWeights,
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            ArithmeticGap::Nothing => "nothing",
            ArithmeticGap::Order => "another order of sums",
            ArithmeticGap::Path => "prefill against decode",
            ArithmeticGap::Halves => "sums in half precision",
            ArithmeticGap::Ik => "ik on weights of another form",
            ArithmeticGap::Llama => "llama on F32 weights",
            ArithmeticGap::Unknown => "unknown",
        }
    }
}

impl Family {
    fn of(profile: &str) -> Self {
        let set = |prefix: &str| profile.strip_prefix(prefix);
        let form = |prefix: &str, form: &str| {
            let set = set(prefix).and_then(|rest| rest.strip_suffix(form));
            set.is_some_and(is_known)
        };
        match set("ggml-") {
            Some("neon-fp16") => Family::Halves,
            Some(set) if is_known(set) => Family::Singles,
            Some(_) => Family::Unknown,
            None if form("ik-", "-wide") => Family::Ik,
            // The same values, and activations rounded by a rule of its own: the same rung, held to
            // the floor of the lane above, which is nearer to the engine.
            None if form("ik-", "-iq2bn") => Family::Ik,
            None if form("llama.cpp-", "-wide") => Family::Llama,
            None => Family::Unknown,
        }
    }
}

fn is_known(instruction_set: &str) -> bool {
    ["avx512", "avx512-bf16", "avx2", "neon"].contains(&instruction_set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tier_follows_from_the_two_names() {
        use Tolerance::{Exact, OtherActivations, OtherOrder, OtherWeights};
        for (theirs, ours, tier) in [
            ("ggml-avx512", "ggml-avx512", Exact),
            ("ggml-neon-fp16", "ggml-neon-fp16", Exact),
            ("ik-avx2-wide", "ik-avx2-wide", Exact),
            ("ggml-avx2", "ggml-avx512", OtherOrder),
            ("ggml-neon", "ggml-avx2", OtherOrder),
            ("ggml-avx512-bf16", "ggml-avx512", OtherOrder),
            ("ggml-neon-fp16", "ggml-neon", OtherActivations),
            ("ik-avx512-wide", "ggml-avx512", OtherActivations),
            ("ik-avx512-iq2bn", "ggml-avx512", OtherActivations),
            ("llama.cpp-avx2-wide", "ggml-avx512", OtherActivations),
            // Two differences at once, or a name that says nothing.
            ("ik-avx512-wide", "llama.cpp-avx512-wide", OtherWeights),
            ("ik-avx512-wide", "ggml-neon-fp16", OtherWeights),
            ("ggml-unknown", "ggml-avx512", OtherWeights),
            ("ik-avx512", "ggml-avx512", OtherWeights),
            ("", "ggml-avx512", OtherWeights),
        ] {
            for (a, b) in [(theirs, ours), (ours, theirs)] {
                assert_eq!(ArithmeticGap::profiles(a, b).tier(), tier, "{a} and {b}");
            }
        }
    }
}
