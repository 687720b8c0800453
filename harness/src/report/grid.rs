//! Case × lane: what was compared with whom, a square for each lane, a link to the numbers.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::page::{Tone, scroll};
use crate::judge::compare::Findings;
use crate::judge::outcome::Outcome;
use crate::judge::verdict::{Divergence, Verdict};
use crate::receipt::{CaseReceipt, Comparison, Receipt, lane_word};

/// Where the numbers of a comparison are on the page.
pub fn anchor([case, comparison]: [usize; 2]) -> String {
    format!("c{case}-{comparison}")
}

/// How a comparison looks.
pub fn tone_of(receipt: &Receipt, comparison: &Comparison) -> Tone {
    if receipt.agrees(comparison) {
        return Tone::Good;
    }
    match comparison.verdict {
        Verdict::Declined { .. } | Verdict::Known { .. } | Verdict::NotJudged => Tone::Open,
        _ => Tone::of(comparison.verdict.outcome().max(Outcome::Incomplete)),
    }
}

/// One square: what it is about, in one word, and how it looks.
struct Square {
    what: &'static str,
    word: String,
    looks: &'static str,
}

/// What the squares look like, and what that means.
const LEGEND: [(&str, &str); 5] = [
    ("exact", "bit-identical"),
    ("near", "within a looser tier"),
    ("undecided", "open or known"),
    ("wrong", "diverges"),
    ("missing", "not asked for"),
];

/// The whole grid.
pub fn grid(receipt: &Receipt) -> Markup {
    let profiles: BTreeSet<&str> = receipt
        .cases
        .iter()
        .flat_map(|case| &case.claims.comparisons)
        .map(|comparison| &comparison.reference.profile[..])
        .collect();
    html! {
        p.legend {
            @for (looks, meaning) in LEGEND {
                span { span class={ "square " (looks) } {} (meaning) }
            }
            span.note { "Squares, left to right: prefill, decode, nodes, continuation." }
        }
        (scroll("Cases by reference", html! {
            table.grid {
                caption { "Each case beside each reference, by the reference's arithmetic" }
                thead { tr {
                    th scope="col" { "case" }
                    @for profile in &profiles { th scope="col" { (profile) } }
                } }
                tbody { @for (at, case) in receipt.cases.iter().enumerate() {
                    tr {
                        th scope="row" {
                            (case.claims.case)
                            span.note {
                                (case.claims.model.architecture) " · " (case.claims.quant.flavor)
                            }
                        }
                        @for profile in &profiles { td { (cell(receipt, case, at, profile)) } }
                    }
                } }
            }
        }))
    }
}

fn cell(receipt: &Receipt, case: &CaseReceipt, at: usize, profile: &str) -> Markup {
    let compared = case.compared().enumerate();
    let own = compared.filter(|(_, (c, _))| c.reference.profile == profile);
    html! {
        @for (with, (comparison, findings)) in own {
            @let squares = squares(receipt, comparison, findings);
            @let words = squares.iter().map(|s| format!("{} {}", s.what, s.word));
            @let words = words.collect::<Vec<_>>().join(", ");
            @let name = format!("{} with {}", case.claims.case, comparison.reference.name);
            a.squares href={ "#" (anchor([at, with])) } title={ (name) ": " (words) }
                aria-label={ (name) ": " (words) } {
                @for square in &squares { span class={ "square " (square.looks) } {} }
                @if comparison.live { span.live { "live" } }
            }
        }
    }
}

fn squares(receipt: &Receipt, comparison: &Comparison, findings: Option<&Findings>) -> Vec<Square> {
    let Some(findings) = findings.filter(|f| !f.lanes.is_empty()) else {
        let word = comparison.verdict.word().to_owned();
        let looks = looks(tone_of(receipt, comparison), false);
        return vec![Square {
            what: "comparison",
            word,
            looks,
        }];
    };
    let declared = comparison.coverage.positions.declared / findings.lanes.len().max(1);
    let lane = |lane| {
        let word = lane_word(receipt, lane, comparison, declared);
        let looks = match word {
            "bit-identical" => "exact",
            "DIVERGE" => "wrong",
            "INCOMPLETE" => "undecided",
            "known" | "not judged" => "undecided",
            _ => "near",
        };
        Square {
            what: lane.lane.name(),
            word: word.to_owned(),
            looks,
        }
    };
    let mut squares: Vec<Square> = findings.lanes.iter().map(lane).collect();
    squares.push(nodes(receipt, comparison, findings));
    squares.push(greedy(receipt, comparison, findings));
    squares
}

fn nodes(receipt: &Receipt, comparison: &Comparison, findings: &Findings) -> Square {
    let compared = &findings.nodes.compared;
    let equal = compared.iter().filter(|n| n.is_bit_identical()).count();
    let all = compared.len() + findings.nodes.missing.len();
    let here = matches!(first(comparison), Some(Divergence::Node { .. }));
    Square {
        what: "nodes",
        word: format!("{equal}/{all}"),
        looks: match all {
            0 => "missing",
            _ if here => looks(tone_of(receipt, comparison), false),
            _ => looks(Tone::Good, equal == all),
        },
    }
}

fn greedy(receipt: &Receipt, comparison: &Comparison, findings: &Findings) -> Square {
    let greedy = &findings.greedy;
    let equal = greedy
        .first_divergence
        .as_ref()
        .map_or(greedy.steps, |d| d.step);
    let here = matches!(
        first(comparison),
        Some(Divergence::Greedy { .. } | Divergence::GreedyText)
    );
    Square {
        what: "continuation",
        word: format!("{equal}/{}", greedy.steps),
        looks: match greedy.steps {
            0 => "missing",
            _ if here => looks(tone_of(receipt, comparison), false),
            steps => looks(Tone::Good, equal == steps),
        },
    }
}

fn first(comparison: &Comparison) -> Option<&Divergence> {
    match &comparison.verdict {
        Verdict::Diverge { first } | Verdict::Known { first, .. } => Some(first),
        _ => None,
    }
}

fn looks(tone: Tone, exact: bool) -> &'static str {
    match (tone, exact) {
        (Tone::Good, true) => "exact",
        (Tone::Good, false) => "near",
        (Tone::Open, _) => "undecided",
        (Tone::Bad, _) => "wrong",
    }
}
