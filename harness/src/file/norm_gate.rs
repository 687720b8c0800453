//! Are the norm weights of a sane size? Rules by name of the tensor, a range of root mean squares
//! for each, the first rule that matches counts.
//!
//! A model whose norms were quantised, rescaled or exchanged still loads and still writes text;
//! this is where it shows.
#![forbid(unsafe_code)]

mod policy;
mod statistics;

use regex_lite::Regex;
use serde::Serialize;

pub use statistics::{Kind, Statistic, measure};

/// A closed range of root mean squares.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Range {
    /// The smallest that passes.
    pub min: f64,
    /// The largest that passes.
    pub max: f64,
}

/// What is accepted for which tensors.
#[derive(Debug, Clone)]
pub struct Ruleset {
    /// Stable name, printed with every verdict.
    pub name: String,
    norms: Vec<(Regex, Range)>,
    unmatched: Range,
    projections: Option<Range>,
}

/// One tensor judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// What was measured.
    #[serde(flatten)]
    pub statistic: Statistic,
    /// What was asked for; `None` where no rule speaks about this kind of tensor.
    pub range: Option<Range>,
    /// Whether it lies outside.
    pub suspicious: bool,
}

/// Norms no rule matches are held to this.
const UNMATCHED: Range = range(0.50, 2.0);

/// The norms between a projection's input and its quantiser, and the last norm of all: older
/// rules, written for another naming, say nothing about them or hold them to the wrong range.
/// Trained models differ widely here, so the ranges are wide.
const SUB_AND_OUTPUT_NORMS: [(&str, Range); 2] = [
    (r"(attn|ffn)_sub_norm\.weight$", range(0.05, 4.0)),
    (r"(^|\.)output_norm\.weight$", range(0.50, 2.0)),
];

impl Ruleset {
    /// The rules for norms a converter left in HF's order of magnitude, linear weights in F16.
    pub fn bitnet_f16() -> Self {
        let norms = [
            (r"ffn_layernorm\.weight$", range(0.05, 2.0)),
            (r"post_attention_layernorm\.weight$", range(0.25, 2.0)),
            (r"input_layernorm\.weight$", range(0.35, 2.0)),
            (r"final_(layer)?norm\.weight$", range(0.50, 2.0)),
            (r"(attn|ffn|rms).*norm\.weight$", range(0.50, 2.0)),
            (r".*norm\.weight$", range(0.50, 2.0)),
        ];
        let projections = Some(range(0.01, 0.40));
        Self::built_in("bitnet-b1.58:f16", &norms, projections)
    }

    /// The rules for files whose linear weights are packed.
    pub fn bitnet_i2_s() -> Self {
        let norms = [
            (r"attn_norm\.weight$", range(0.01, 2.0)),
            (r"ffn_norm\.weight$", range(0.50, 2.0)),
            (r"final_(layer)?norm\.weight$", range(0.50, 2.0)),
            (r".*norm\.weight$", range(0.25, 2.0)),
        ];
        let projections = Some(range(0.002, 0.20));
        Self::built_in("bitnet-b1.58:i2_s", &norms, projections)
    }

    /// The rules for models of which nothing is known: norms near one.
    pub fn generic() -> Self {
        let norms = [(r".*norm\.weight$", range(0.80, 1.20))];
        Ruleset {
            norms: compiled(&norms),
            ..Self::built_in("generic", &[], None)
        }
    }

    /// The rules that fit what the file says about itself.
    pub fn auto(architecture: &str, file_type: Option<u32>) -> Self {
        const MOSTLY_F16: Option<u32> = Some(1);
        let bitnet = architecture.contains("bitnet") || architecture.contains("b1.58");
        match (bitnet, file_type) {
            (true, MOSTLY_F16) => Self::bitnet_f16(),
            (true, _) => Self::bitnet_i2_s(),
            (false, _) => Self::generic(),
        }
    }

    /// Judges what was measured.
    pub fn judge(&self, statistic: Statistic) -> Judged {
        let range = match statistic.kind {
            Kind::Norm => Some(self.norm_range(&statistic.name)),
            Kind::Projection => self.projections,
        };
        // Written so that a NaN is outside of every range.
        let inside = |range: Range| range.min <= statistic.rms && statistic.rms <= range.max;
        Judged {
            suspicious: !range.is_none_or(inside),
            range,
            statistic,
        }
    }

    fn norm_range(&self, name: &str) -> Range {
        let matching = self.norms.iter().find(|(rule, _)| rule.is_match(name));
        matching.map_or(self.unmatched, |&(_, range)| range)
    }

    fn built_in(name: &str, norms: &[(&str, Range)], projections: Option<Range>) -> Self {
        Ruleset {
            name: name.into(),
            norms: compiled(&[&SUB_AND_OUTPUT_NORMS, norms].concat()),
            unmatched: UNMATCHED,
            projections,
        }
    }
}

const fn range(min: f64, max: f64) -> Range {
    Range { min, max }
}

fn compiled(rules: &[(&str, Range)]) -> Vec<(Regex, Range)> {
    let compile = |(pattern, range): &(&str, Range)| {
        let regex = Regex::new(pattern).expect("the built-in patterns are constants");
        (regex, *range)
    };
    rules.iter().map(compile).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspicious(rules: &Ruleset, name: &str, kind: Kind, rms: f64) -> bool {
        let name = name.to_owned();
        let statistic = Statistic {
            name,
            kind,
            elements: 256,
            rms,
            mean: rms,
            min: rms,
            max: rms,
        };
        rules.judge(statistic).suspicious
    }

    #[test]
    fn the_first_rule_that_matches_counts() {
        let cases = [
            // name, rms, suspicious under f16, i2_s, generic
            ("blk.0.attn_norm.weight", 0.02, [true, false, true]),
            ("blk.0.ffn_norm.weight", 0.45, [true, true, true]),
            ("blk.3.attn_sub_norm.weight", 0.30, [false, false, true]),
            ("blk.3.ffn_sub_norm.weight", 3.90, [false, false, true]),
            ("blk.3.ffn_sub_norm.weight", 4.10, [true, true, true]),
            ("output_norm.weight", 0.49, [true, true, true]),
            ("output_norm.weight", 1.10, [false, false, false]),
            (
                "layers.0.input_layernorm.weight",
                0.40,
                [false, false, true],
            ),
            ("model.final_norm.weight", 0.40, [true, true, true]),
            ("a_gain_nobody_has_a_rule_for", 0.40, [true, true, true]),
            ("blk.0.attn_norm.weight", f64::NAN, [true, true, true]),
        ];
        let rules = [
            Ruleset::bitnet_f16(),
            Ruleset::bitnet_i2_s(),
            Ruleset::generic(),
        ];
        for (name, rms, expected) in cases {
            for (rules, expected) in rules.iter().zip(expected) {
                let got = suspicious(rules, name, Kind::Norm, rms);
                assert_eq!(got, expected, "{name} {rms} under {}", rules.name);
            }
        }
    }

    #[test]
    fn projections_have_one_range_or_none() {
        let name = "blk.0.attn_q.weight";
        let judge = |rules: &Ruleset, rms| suspicious(rules, name, Kind::Projection, rms);
        assert!(judge(&Ruleset::bitnet_f16(), 0.5) && !judge(&Ruleset::bitnet_f16(), 0.3));
        assert!(judge(&Ruleset::bitnet_i2_s(), 0.3) && !judge(&Ruleset::bitnet_i2_s(), 0.1));
        assert!(!judge(&Ruleset::generic(), 1e9));
    }

    #[test]
    fn auto_asks_the_file_what_it_is() {
        let name = |arch, file_type| Ruleset::auto(arch, file_type).name;
        assert_eq!(name("bitnet-b1.58", Some(1)), "bitnet-b1.58:f16");
        assert_eq!(name("bitnet", Some(40)), "bitnet-b1.58:i2_s");
        assert_eq!(name("bitnet-25", None), "bitnet-b1.58:i2_s");
        assert_eq!(name("llama", Some(1)), "generic");
    }
}
