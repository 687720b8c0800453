//! What a comparison that does not agree needs in words: what, in which lane, where first, and the
//! command that looks closer.

use crate::io::output::quoted;
use crate::judge::compare::{Findings, LaneFindings, ValueDifference};
use crate::judge::demand::{JudgedBy, made_here};
use crate::judge::tolerance::{ArithmeticGap, Tolerance};
use crate::judge::verdict::{Verdict, broken_by_lane, undecided};
use crate::numbers::metrics::{self, Distance};
use crate::receipt::{CaseReceipt, Comparison, Receipt};

/// One word for a lane alone, whatever became of its neighbour; `declared` are its positions.
pub fn lane_word(
    receipt: &Receipt,
    lane: &LaneFindings,
    comparison: &Comparison,
    declared: usize,
) -> &'static str {
    let apart = comparison.apart();
    let known = matches!(comparison.verdict, Verdict::Known { .. });
    let own = match &comparison.judged_by {
        Some(JudgedBy::Own(_)) => Some("own tolerance"),
        Some(JudgedBy::ErrorRatio) => Some("error ratio"),
        _ => None,
    };
    let beyond = own.is_some() && comparison.diverges_in(lane.lane);
    if beyond || broken_by_lane(lane, apart).is_some() {
        return if known { "known" } else { "DIVERGE" };
    }
    if lane.positions.len() < declared {
        return "INCOMPLETE";
    }
    if lane.is_bit_identical() {
        return "bit-identical";
    }
    if let Some(own) = own {
        return own;
    }
    let open = apart.tier() == Tolerance::OtherWeights || undecided(lane, apart).is_some();
    if open && !receipt.agrees(comparison) {
        let word = Verdict::NotJudged.word();
        return if known { "known" } else { word };
    }
    apart.tier().name()
}

/// The lines below a comparison that is not simply agreement; none where it is.
pub fn lines(
    receipt: &Receipt,
    case: &CaseReceipt,
    comparison: &Comparison,
    findings: Option<&Findings>,
) -> Vec<String> {
    let verdict = &comparison.verdict;
    let (name, with) = (&case.claims.case, &comparison.reference.name);
    let by = comparison.judged_by.as_ref().map(JudgedBy::words);
    let by = by.map_or(String::new(), |by| format!(", judged by {by}"));
    let plain = receipt.agrees(comparison) && by.is_empty();
    if plain || matches!(verdict, Verdict::Declined { .. }) {
        return Vec::new();
    }
    let mut lines = vec![format!("{name} with {with}: {verdict}{by}")];
    let errors = findings.and_then(|findings| findings.errors.as_ref());
    lines.extend(errors.map(|errors| format!("  error: {}", errors.words())));
    if receipt.agrees(comparison) {
        return lines;
    }
    let Some(findings) = findings else {
        return lines;
    };
    if let Some(exceeded) = &comparison.exceeded {
        let by = exceeded.bound.exceeded_by(findings);
        let by = by.unwrap_or_else(|| comparison.coverage.shortfall());
        lines.push(format!("  beyond its bound: {exceeded}; {by}"));
    }
    if *verdict == Verdict::NotJudged {
        lines.push(format!("  {}", why_not_judged(comparison, findings)));
        return lines;
    }
    if let Some(first) = &findings.nodes.first_difference {
        lines.push(format!(
            "  first differing value of a node: {}",
            shown(first)
        ));
    }
    let judged = comparison.judged_by.is_some() && matches!(verdict, Verdict::Diverge { .. });
    let made = made_here(&findings.nodes).filter(|_| judged);
    lines.extend(made.map(|made| format!("  {}", made.words())));
    let declared = comparison.coverage.positions.declared / findings.lanes.len().max(1);
    for lane in &findings.lanes {
        let word = lane_word(receipt, lane, comparison, declared);
        lines.push(match &lane.first_difference {
            None => format!("  {}: {word}", lane.lane.name()),
            Some(first) => format!("  {}: {word}, first at {}", lane.lane.name(), shown(first)),
        });
    }
    if !findings.nodes.missing.is_empty() {
        let missing = findings.nodes.missing.join(", ");
        lines.push(format!("  nodes without a counterpart: {missing}"));
    }
    let built_in = case.claims.engine.identity.brought().is_none();
    if matches!(verdict, Verdict::Diverge { .. }) && built_in {
        lines.push(format!("  next: {}", next(receipt, case, comparison)));
    }
    lines
}

/// A line for each lane: its word and how many logits are equal.
pub fn lanes(
    receipt: &Receipt,
    comparison: &Comparison,
    findings: Option<&Findings>,
) -> Vec<String> {
    let lanes = findings.map(|found| &found.lanes[..]).unwrap_or_default();
    let declared = comparison.coverage.positions.declared / lanes.len().max(1);
    let line = |lane: &LaneFindings| {
        let sum = |part: fn(&Distance) -> usize| {
            lane.positions
                .iter()
                .map(|p| part(&p.distance))
                .sum::<usize>()
        };
        let word = lane_word(receipt, lane, comparison, declared);
        let (equal, all) = (sum(|d| d.bit_equal), sum(|d| d.values));
        format!("{}: {word}, {equal}/{all} logits", lane.lane.name())
    };
    lanes.iter().map(line).collect()
}

fn why_not_judged(comparison: &Comparison, findings: &Findings) -> String {
    let apart = comparison.apart();
    let mut lanes = findings.lanes.iter();
    let rule = lanes.find_map(|lane| Some((lane.lane, undecided(lane, apart)?)));
    match (apart, rule) {
        (ArithmeticGap::Unknown, _) | (_, None) => format!(
            "no tolerance is on record between {} and {}",
            comparison.reference.profile, comparison.profile
        ),
        (_, Some((lane, rule))) => format!(
            "{}: {rule}, which one document is too short to be judged by: ask more prompts",
            lane.name()
        ),
    }
}

/// A difference with its place and both values.
pub fn shown(difference: &ValueDifference) -> String {
    let [theirs, ours] = difference
        .bits
        .map(|b| format!("{:e} (0x{b:08x})", f32::from_bits(b)));
    let ValueDifference { place, index, .. } = difference;
    let apart = metrics::ulps(difference.bits.map(f32::from_bits));
    let apart = apart.map_or("not comparable".into(), |n| format!("{n} ulp"));
    format!("{place} at {index}: {ours} instead of {theirs}, {apart}")
}

/// The command that finds the operation in which the two part.
pub fn next(receipt: &Receipt, case: &CaseReceipt, comparison: &Comparison) -> String {
    let claims = &case.claims;
    let mut line = "harness trace".to_owned();
    if is_ad_hoc(&claims.case) {
        let mut inputs = receipt.circumstances.inputs.iter();
        let model = inputs.find(|input| input.sha256 == claims.model.sha256);
        let model = model.map_or(&claims.model.file, |input| &input.path);
        line += &format!(
            " --model {} --prompt {}",
            quoted(model),
            quoted(&claims.prompt)
        );
    } else {
        line += &format!(" --case {}", claims.case);
    }
    let with = &comparison.reference.name;
    if comparison.reference.is_built_in() {
        // It stands in by itself.
    } else if comparison.live {
        line += &format!(" --reference {}", with.trim_end_matches("-iq2bn"));
    } else if comparison.coverage.nodes.declared > 0 {
        line += &format!(" --recording {with}");
    } else {
        line += " --reference bitnet";
    }
    line
}

/// The name of a prompt that no fixture has.
pub fn ad_hoc_name(number: usize) -> String {
    format!("ad-hoc-{number}")
}

fn is_ad_hoc(name: &str) -> bool {
    name.starts_with("ad-hoc-")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_shell_takes_every_prompt_back() {
        assert_eq!(crate::io::output::quoted("a/b.gguf"), "a/b.gguf");
        assert_eq!(crate::io::output::quoted("it's"), r"'it'\''s'");
        assert_eq!(crate::io::output::quoted(""), "''");
    }
}
