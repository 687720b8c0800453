//! The tables: a row for each case, one for each lane, and the distances where bits differ.

use crate::io::table::{Column, Table, number, scientific, words};
use crate::judge::compare::{Findings, LaneFindings, PositionFindings};
use crate::judge::verdict::{Divergence, Verdict};
use crate::numbers::metrics;
use crate::receipt::explanation::lane_word;
use crate::receipt::{Comparison, Receipt};

const LANES: [Column; 6] = [
    words("case"),
    words("reference"),
    words("lane"),
    words("verdict").whole(),
    number("pos"),
    number("bit-equal"),
];

const DISTANCES: [Column; 9] = [
    words("case"),
    words("reference"),
    words("lane"),
    number("min cos"),
    number("max|Δ|").spare(),
    number("NMSE med").spare(),
    number("NMSE max"),
    number("KL max (nats)"),
    number("top-1"),
];

/// Whether a comparison deserves rows of its own.
pub fn is_remarkable(receipt: &Receipt, comparison: &Comparison) -> bool {
    let declined = matches!(comparison.verdict, Verdict::Declined { .. });
    !declined && !receipt.agrees(comparison)
}

/// A row for each lane of the comparisons wanted, and one for whatever else diverges in them.
pub fn lanes(receipt: &Receipt, wanted: fn(&Receipt, &Comparison) -> bool) -> Table {
    let mut table = Table::new(&LANES);
    for case in &receipt.cases {
        for (comparison, found) in case.compared().filter(|(c, _)| wanted(receipt, c)) {
            let start = |lane: &str, verdict: &str| {
                let (case, with) = (&case.claims.case, &comparison.reference.name);
                [case, with, lane, verdict].map(str::to_owned)
            };
            let lanes = found.map(|f| &f.lanes[..]).unwrap_or_default();
            let declared = comparison.coverage.positions.declared / lanes.len().max(1);
            for lane in lanes {
                let sum = |part: fn(&PositionFindings) -> usize| {
                    lane.positions.iter().map(part).sum::<usize>()
                };
                let (equal, all) = (sum(|p| p.distance.bit_equal), sum(|p| p.distance.values));
                let counts = [
                    format!("{}/{declared}", lane.positions.len()),
                    format!("{equal}/{all}"),
                ];
                let start = start(
                    lane.lane.name(),
                    lane_word(receipt, lane, comparison, declared),
                );
                table.row(start.into_iter().chain(counts));
            }
            for (what, verdict, count) in beside_lanes(comparison, found) {
                let start = start(what, verdict);
                table.row(start.into_iter().chain([String::new(), count]));
            }
        }
    }
    table
}

/// Nodes and continuation, which are in no lane; and the verdict where there is nothing else.
fn beside_lanes<'c>(
    comparison: &'c Comparison,
    found: Option<&Findings>,
) -> Vec<(&'static str, &'c str, String)> {
    let verdict = &comparison.verdict;
    let Some(found) = found.filter(|f| !f.lanes.is_empty()) else {
        return vec![("-", verdict.word(), String::new())];
    };
    let first = match verdict {
        Verdict::Diverge { first } | Verdict::Known { first, .. } => Some(first),
        _ => None,
    };
    let mut rows = Vec::new();
    let nodes = found.nodes.compared.len() + found.nodes.missing.len();
    if nodes > 0 {
        let equal = equal_nodes(found);
        let word = match first {
            Some(Divergence::Node { .. }) => verdict.word(),
            _ if !found.nodes.missing.is_empty() => "INCOMPLETE",
            _ if equal == nodes => "bit-identical",
            _ => "not judged",
        };
        rows.push(("nodes", word, format!("{equal}/{nodes}")));
    }
    let greedy = &found.greedy;
    if greedy.steps > 0 {
        let equal = equal_steps(found);
        let same = equal == greedy.steps && greedy.text_equal;
        let word = match first {
            Some(Divergence::Greedy { .. } | Divergence::GreedyText) => verdict.word(),
            _ if same => "equal",
            _ => "parts",
        };
        let gap = greedy.first_divergence.as_ref().and_then(|d| d.gap);
        let gap = gap.map_or(String::new(), |gap| format!(", gap {gap:.1e}"));
        rows.push(("greedy", word, format!("{equal}/{}{gap}", greedy.steps)));
    }
    rows
}

/// How far apart, for the lanes whose bits are not all equal.
pub fn distances(receipt: &Receipt, wanted: fn(&Receipt, &Comparison) -> bool) -> Table {
    let mut table = Table::new(&DISTANCES);
    for case in &receipt.cases {
        for (comparison, found) in case.compared().filter(|(c, _)| wanted(receipt, c)) {
            let lanes = found.map(|f| &f.lanes[..]).unwrap_or_default();
            for lane in lanes.iter().filter(|lane| !lane.is_bit_identical()) {
                let (case, with) = (&case.claims.case, &comparison.reference.name);
                let start = [case, with, lane.lane.name()].map(str::to_owned);
                table.row(start.into_iter().chain(distance(lane)));
            }
        }
    }
    table
}

fn distance(lane: &LaneFindings) -> [String; 6] {
    let positions = &lane.positions;
    let most = |part: fn(&PositionFindings) -> Option<f64>| {
        let all: Option<Vec<f64>> = positions.iter().map(part).collect();
        all.and_then(|all| all.into_iter().max_by(f64::total_cmp))
    };
    // The smallest cosine is the largest of the negated ones.
    let cosine = most(|p| p.distance.cosine.map(|c| -c));
    [
        cosine.map_or("none".into(), |negated| format!("{:.9}", -negated)),
        scientific(most(|p| p.distance.max_abs)),
        scientific(lane.nmse().and_then(|n| metrics::median(&n))),
        scientific(most(|p| p.distance.nmse)),
        scientific(most(|p| p.kl)),
        format!("{}/{}", positions.len() - lane.flips(), positions.len()),
    ]
}

/// Traced tensors whose every bit is equal.
pub fn equal_nodes(found: &Findings) -> usize {
    let nodes = found.nodes.compared.iter();
    nodes.filter(|n| n.is_bit_identical()).count()
}

/// Steps of the continuation up to the first other token.
pub fn equal_steps(found: &Findings) -> usize {
    let parting = found.greedy.first_divergence.as_ref();
    parting.map_or(found.greedy.steps, |d| d.step)
}
