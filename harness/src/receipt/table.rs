//! A receipt as a person reads it. Pure: text out of data.
#![forbid(unsafe_code)]

mod lanes;
mod live;

use std::fmt::Write as _;

use crate::judge::compare::{Findings, LaneFindings, PositionFindings, ValueDifference};
use crate::judge::outcome::Outcome;
use crate::judge::tolerance::Tolerance;
use crate::judge::verdict::Verdict;
use crate::numbers::metrics;
use crate::receipt::{CaseReceipt, Comparison, Receipt};

const HEADER: [&str; 15] = [
    "case",
    "reference",
    "lane",
    "verdict",
    "tokens",
    "pos",
    "bit-equal",
    "min cos",
    "max|Δ|",
    "NMSE med",
    "NMSE max",
    "KL max",
    "top-1",
    "top-5",
    "nodes/greedy",
];

/// Everything: one table, what needs words, the counts, the status.
pub fn render(receipt: &Receipt) -> String {
    let mut rows = vec![HEADER.map(str::to_owned)];
    let mut notes = lanes::tensors(receipt);
    for case in &receipt.cases {
        for (comparison, measured) in case.claims.comparisons.iter().zip(&case.measured) {
            rows.extend(comparison_rows(
                case,
                comparison,
                measured.findings.as_ref(),
            ));
            notes.extend(note(case, comparison, measured.findings.as_ref()));
        }
        if case.claims.comparisons.is_empty() {
            notes.push(format!(
                "{}: no recording knows this model and prompt; the engine was compared with \
                 itself only, which proves no agreement with a reference",
                case.claims.case
            ));
        }
        let with_itself = &case.measured[case.claims.comparisons.len()..];
        let again = case.claims.repetitions.iter().chain(&case.claims.controls);
        for (repetition, measured) in again.zip(with_itself) {
            notes.extend(note(case, repetition, measured.findings.as_ref()));
        }
    }
    let failed = |f: &crate::receipt::Failed| format!("{}: {}: {}", f.case, f.status, f.message);
    notes.extend(receipt.failures.iter().map(failed));
    notes.extend(lanes::pooled(receipt));
    notes.extend(live::lines(receipt));
    let left_out = &receipt.circumstances.left_out;
    notes.extend(left_out.iter().map(|left| {
        let by = left.answered_by.join(", ");
        format!(
            "{} was left out: it is answered live alone, by {by}",
            left.case
        )
    }));
    let stale = &receipt.circumstances.stale_entries;
    notes.extend(stale.iter().map(|entry| {
        format!("{entry}: the entry for a known divergence excuses nothing any more")
    }));
    let changed = &receipt.circumstances.changed_inputs;
    notes.extend(
        changed.iter().map(|path| {
            format!("{path} changed while it was in use: nothing in this receipt counts")
        }),
    );
    let mut text = String::new();
    for line in lanes::circumstances(receipt) {
        text += &format!("{line}\n");
    }
    if rows.len() > 1 {
        text += &table(&rows);
    }
    for note in notes {
        text += &format!("{note}\n");
    }
    text + &summary(receipt)
}

/// The last lines: counts, coverage, status.
pub fn summary(receipt: &Receipt) -> String {
    let all = || receipt.cases.iter().flat_map(|c| &c.claims.comparisons);
    let count = |wanted: fn(&Comparison) -> bool| all().filter(|c| wanted(c)).count();
    let agree = count(|c| c.verdict == Verdict::Agree);
    let identical = count(|c| c.verdict == Verdict::Agree && c.logits_bit_identical);
    let close = count(|c| c.verdict == Verdict::Agree && c.tolerance.is_measured());
    let diverge = count(|c| matches!(c.verdict, Verdict::Diverge { .. }));
    let measured = count(|c| c.verdict == Verdict::NotJudged);
    let skipped = all().count() - agree - diverge - measured;
    let repetitions = || receipt.cases.iter().flat_map(|c| &c.claims.repetitions);
    let repeated = repetitions()
        .filter(|r| r.verdict == Verdict::Agree)
        .count();
    let coverage = receipt
        .coverage
        .named()
        .map(|(name, count)| format!("{name} {count}"));
    let [values, equal] = exact_logits(receipt);
    let mut text = format!(
        "\n{} case(s), {} comparisons: {agree} agree ({identical} of them bit-identical, {close} \
         within a looser tier),\n  {diverge} diverge, {measured} not judged, {skipped} skipped; \
         {repeated}/{} repetitions bit-identical\n\
         where every bit is demanded: bit-identical {equal}/{values} logits\n",
        receipt.cases.len() + receipt.failures.len(),
        all().count(),
        repetitions().count(),
    );
    text += &format!("compared/declared: {}\n", coverage.join(", "));
    let left_out = receipt.circumstances.left_out.len();
    if left_out > 0 {
        text += &format!("left out: {left_out} case(s) that need a live reference\n");
    }
    if !receipt.parity.cpp_available {
        text += "rust-only: no live C++ ran";
        text += match all().count() {
            0 => ", and no recording stood in for it\n",
            _ => ", recordings of the reference stood in for it\n",
        };
    }
    text + &format!("status: {}\n", receipt.parity.status)
}

/// Logits of which every bit is demanded, and those that have them all.
fn exact_logits(receipt: &Receipt) -> [usize; 2] {
    let pairs = |case: &'_ CaseReceipt| {
        let pairs = case.claims.comparisons.iter().zip(&case.measured);
        let exact = pairs.filter(|(comparison, _)| comparison.is_exact());
        let found = exact.filter_map(|(_, measured)| Some(measured.findings.as_ref()?.logits()));
        found.collect::<Vec<_>>()
    };
    let all = receipt.cases.iter().flat_map(pairs);
    all.fold([0, 0], |sum, one| [sum[0] + one[0], sum[1] + one[1]])
}

fn comparison_rows(
    case: &CaseReceipt,
    comparison: &Comparison,
    findings: Option<&Findings>,
) -> Vec<[String; 15]> {
    let reference = &comparison.reference;
    let start = [
        case.claims.case.clone(),
        reference.name.clone(),
        "-".into(),
        comparison.verdict.word().into(),
        comparison.coverage.tokens.to_string(),
    ];
    let lanes = findings.map(|f| &f.lanes[..]).unwrap_or_default();
    if lanes.is_empty() {
        let mut row: [String; 15] = Default::default();
        row[..5].clone_from_slice(&start);
        return vec![row];
    }
    let rows = lanes.iter().enumerate().map(|(i, lane)| {
        let mut row = lane_row(lane, comparison.coverage.positions.declared / lanes.len());
        row[..5].clone_from_slice(&start);
        row[2] = lane.lane.name().into();
        row[3] = lane_word(lane, comparison);
        // The trace belongs to the prefill; the continuation is printed beside the last lane.
        row[14] = match findings {
            Some(findings) if i + 1 == lanes.len() => greedy(findings),
            Some(findings) => nodes(findings),
            None => String::new(),
        };
        row
    });
    rows.collect()
}

fn lane_word(lane: &LaneFindings, comparison: &Comparison) -> String {
    let identical = lane.is_bit_identical();
    match (&comparison.verdict, comparison.tolerance) {
        (Verdict::Agree, _) if identical => "bit-identical".into(),
        (Verdict::Agree | Verdict::NotJudged, tier) if tier != Tolerance::Exact => {
            tier.name().into()
        }
        (verdict, _) => verdict.word().into(),
    }
}

fn lane_row(lane: &LaneFindings, declared: usize) -> [String; 15] {
    let positions = &lane.positions;
    let sum = |part: fn(&PositionFindings) -> usize| positions.iter().map(part).sum::<usize>();
    let most = |part: fn(&PositionFindings) -> Option<f64>| {
        let all: Option<Vec<f64>> = positions.iter().map(part).collect();
        all.and_then(|all| all.into_iter().max_by(f64::total_cmp))
    };
    let nmse = lane.nmse();
    let mut row: [String; 15] = Default::default();
    row[5] = format!("{}/{declared}", positions.len());
    let (equal, values) = (sum(|p| p.distance.bit_equal), sum(|p| p.distance.values));
    row[6] = format!("{equal}/{values}");
    // The smallest cosine is the largest of the negated ones.
    row[7] = match most(|p| p.distance.cosine.map(|c| -c)) {
        Some(-1.0) => "1".into(),
        Some(negated) => format!("{:.9}", -negated),
        None => "none".into(),
    };
    row[8] = scientific(most(|p| p.distance.max_abs));
    row[9] = scientific(nmse.and_then(|n| metrics::median(&n)));
    row[10] = scientific(most(|p| p.distance.nmse));
    row[11] = scientific(most(|p| p.kl));
    row[12] = format!("{}/{}", sum(|p| p.top1_equal.into()), positions.len());
    row[13] = format!("{}/{}", sum(|p| p.top5_overlap), 5 * positions.len());
    row
}

fn nodes(findings: &Findings) -> String {
    let compared = &findings.nodes.compared;
    let equal = compared
        .iter()
        .filter(|n| n.distance.is_bit_identical())
        .count();
    match compared.len() + findings.nodes.missing.len() {
        0 => String::new(),
        all => format!("{equal}/{all} nodes"),
    }
}

fn greedy(findings: &Findings) -> String {
    let greedy = &findings.greedy;
    match &greedy.first_divergence {
        None => format!("{0}/{0} steps", greedy.steps),
        Some(parting) => {
            let gap = parting.gap.map(|gap| format!(", gap {gap:.1e}"));
            format!(
                "{}/{} steps{}",
                parting.step,
                greedy.steps,
                gap.unwrap_or_default()
            )
        }
    }
}

fn scientific(value: Option<f64>) -> String {
    match value {
        Some(0.0) => "0".into(),
        Some(value) => format!("{value:.1e}"),
        None => "none".into(),
    }
}

/// What a verdict other than agreement needs in words.
fn note(
    case: &CaseReceipt,
    comparison: &Comparison,
    findings: Option<&Findings>,
) -> Option<String> {
    let said_elsewhere = matches!(comparison.verdict, Verdict::Declined { .. });
    let good = matches!(comparison.verdict, Verdict::Agree | Verdict::NotJudged);
    if good || said_elsewhere {
        return None;
    }
    let (case, with) = (&case.claims.case, &comparison.reference.name);
    let mut text = format!("{case} with {with}: {}", comparison.verdict);
    let Some(findings) = findings else {
        return Some(text);
    };
    if let Some(difference) = &findings.nodes.first_difference {
        let difference = shown(difference);
        let _ = write!(text, "\n  first differing value of a node: {difference}");
    }
    for lane in &findings.lanes {
        if let Some(difference) = &lane.first_difference {
            let lane = lane.lane.name();
            let _ = write!(
                text,
                "\n  first differing logit in {lane}: {}",
                shown(difference)
            );
        }
    }
    let missing = &findings.nodes.missing;
    if !missing.is_empty() {
        let _ = write!(
            text,
            "\n  nodes without a counterpart: {}",
            missing.join(", ")
        );
    }
    Some(text)
}

fn shown(difference: &ValueDifference) -> String {
    let [theirs, ours] = difference
        .bits
        .map(|b| format!("{:e} (0x{b:08x})", f32::from_bits(b)));
    let ValueDifference { place, index, .. } = difference;
    let apart = metrics::ulps(difference.bits.map(f32::from_bits));
    let apart = apart.map_or("not comparable".into(), |n| format!("{n} ulp"));
    format!("{place} at {index}: {ours} instead of {theirs}, {apart}")
}

fn table(rows: &[[String; 15]]) -> String {
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max();
    let widths: [usize; 15] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let mut text = String::new();
    for row in rows {
        let cells = row
            .iter()
            .zip(widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                let words = column < 4 || column == 14;
                if words {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            });
        let line: Vec<String> = cells.collect();
        text += line.join("  ").trim_end();
        text.push('\n');
    }
    text
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_letters() {
        let mut rows = vec![HEADER.map(str::to_owned), Default::default()];
        rows[1][0] = "é-case".into();
        rows[1][6] = "1/1".into();
        let text = table(&rows);
        let lines: Vec<Vec<char>> = text.lines().map(|l| l.chars().collect()).collect();
        let header: String = lines[0].iter().collect();
        let end = header.find("bit-equal").expect("a column") + "bit-equal".len();
        assert_eq!(lines[1].len(), end, "numbers end where their heading ends");
    }

    #[test]
    fn no_number_is_not_printed_as_one() {
        assert_eq!(scientific(None), "none");
        assert_eq!(scientific(Some(0.0)), "0");
        assert_eq!(scientific(Some(1.25e-15)), "1.2e-15");
    }
}
