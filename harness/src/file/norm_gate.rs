//! Are the norm weights of a sane size? Rules by name of the tensor, a range of root mean squares
//! for each, the first rule that matches counts.
//!
//! A model whose norms were quantised, rescaled or exchanged still loads and still writes text;
//! this is where it shows.

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
const UNMATCHED: Range = Range { min: 0.5, max: 2.0 };

impl Ruleset {
    /// The rules that fit what the file says about itself.
    pub fn auto(architecture: &str, file_type: Option<u32>) -> Self {
        const MOSTLY_F16: Option<u32> = Some(1);
        let bitnet = architecture.contains("bitnet") || architecture.contains("b1.58");
        Self::built_in(match (bitnet, file_type) {
            (true, MOSTLY_F16) => "bitnet-b1.58:f16",
            (true, _) => "bitnet-b1.58:i2_s",
            (false, _) => "generic",
        })
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
        matching.map_or(UNMATCHED, |&(_, range)| range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT_IN: [&str; 3] = ["bitnet-b1.58:f16", "bitnet-b1.58:i2_s", "generic"];

    /// What each built-in ruleset says.
    fn suspicious(name: &str, kind: Kind, rms: f64) -> [bool; 3] {
        BUILT_IN.map(|rules| {
            let statistic = Statistic {
                name: name.to_owned(),
                kind,
                elements: 256,
                rms,
                mean: rms,
                min: rms,
                max: rms,
            };
            Ruleset::built_in(rules).judge(statistic).suspicious
        })
    }

    #[test]
    fn the_first_rule_that_matches_counts() {
        for (name, rms, expected) in [
            ("blk.0.attn_norm.weight", 0.02, [true, false, true]),
            ("blk.0.ffn_norm.weight", 0.45, [true, true, true]),
            ("blk.3.attn_sub_norm.weight", 0.30, [false, false, true]),
            ("blk.3.ffn_sub_norm.weight", 3.90, [false, false, true]),
            ("blk.3.ffn_sub_norm.weight", 4.10, [true, true, true]),
            ("output_norm.weight", 0.49, [true, true, true]),
            ("output_norm.weight", 1.10, [false, false, false]),
            ("l.0.input_layernorm.weight", 0.40, [false, false, true]),
            ("model.final_norm.weight", 0.40, [true, true, true]),
            ("a_gain_without_a_rule", 0.40, [true, true, true]),
            ("blk.0.attn_norm.weight", f64::NAN, [true, true, true]),
        ] {
            assert_eq!(suspicious(name, Kind::Norm, rms), expected, "{name} {rms}");
        }
    }

    #[test]
    fn projections_have_one_range_or_none() {
        let judged = |rms| suspicious("blk.0.attn_q.weight", Kind::Projection, rms);
        assert_eq!(judged(0.5), [true, true, false]);
        assert_eq!(judged(0.3), [false, true, false]);
        assert_eq!(judged(0.1), [false, false, false]);
        assert_eq!(judged(1e9), [true, true, false]);
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
