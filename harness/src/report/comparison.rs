//! One comparison in full: its verdict, its lanes, where bits differ and how far they lie apart.

use std::collections::BTreeMap;

use engine::Token;
use maud::{Markup, html};

use super::figures::{counted, size, sized, summed};
use super::grid::{anchor, tone_of};
use super::heat;
use super::page::{Tone, heads, scroll};
use super::values;
use crate::judge::compare::{Findings, LaneFindings, PositionFindings};
use crate::judge::verdict::Verdict;
use crate::numbers::metrics;
use crate::receipt::{CaseReceipt, Comparison, Receipt, explanation_of, trace_command};

/// Every comparison with a reference; those that do not agree are open.
pub fn all(receipt: &Receipt) -> Markup {
    html! {
        (heat::legend())
        @for (at, case) in receipt.cases.iter().enumerate() {
            @for (with, (comparison, findings)) in case.compared().enumerate() {
                @let place = Place { receipt, case, comparison, at: [at, with] };
                (place.one(findings))
            }
        }
    }
}

/// A comparison and where it stands.
struct Place<'r> {
    receipt: &'r Receipt,
    case: &'r CaseReceipt,
    comparison: &'r Comparison,
    /// The number of the case, and that of the comparison.
    at: [usize; 2],
}

impl Place<'_> {
    fn one(&self, findings: Option<&Findings>) -> Markup {
        let Place {
            case, comparison, ..
        } = self;
        let tone = tone_of(self.receipt, comparison);
        let kind = if comparison.live {
            "live"
        } else if comparison.reference.is_built_in() {
            "built in"
        } else {
            "recorded"
        };
        html! {
            details.comparison id=(anchor(self.at)) open[tone == Tone::Bad] {
                summary class=(tone.class()) {
                    span.who {
                        (case.claims.case) span.with { " with " } (comparison.reference.name)
                    }
                    span.word { (word(self.receipt, comparison)) }
                }
                p.facts {
                    (kind) " " (comparison.reference.profile)
                    " against our " (comparison.profile)
                    "; held to " code { (comparison.tolerance.name()) }
                    "; " (comparison.verdict)
                }
                @match findings {
                    Some(findings) => (self.found(findings)),
                    None => p { "Nothing was compared, so there are no numbers." },
                }
            }
        }
    }

    fn found(&self, findings: &Findings) -> Markup {
        let [at, with] = self.at;
        let from = format!("/cases/{at}/measured/{with}/findings");
        let differs = findings.lanes.iter().any(|lane| !lane.is_bit_identical())
            || findings.nodes.first_difference.is_some();
        html! {
            (numbers(self.comparison, findings, &self.case.texts, &from))
            @if differs { (self.next()) }
        }
    }

    fn next(&self) -> Markup {
        let own = self.case.claims.engine.identity.brought().is_none();
        html! {
            p.absent {
                "Two runs side by side do not tell an operation's own error from what it "
                "inherited, nor certify a rounding."
                @if own {
                    " This does: "
                    code { (trace_command(self.receipt, self.case, self.comparison)) }
                }
            }
        }
    }
}

/// The numbers of a comparison: where it differs first, lanes, maps, histograms, tokens with their
/// texts, as far as they are known. `from` is where its findings are in the JSON.
pub fn numbers(
    comparison: &Comparison,
    findings: &Findings,
    texts: &BTreeMap<Token, String>,
    from: &str,
) -> Markup {
    let lanes = || findings.lanes.iter().enumerate();
    html! {
        (first(comparison, findings, from))
        (of_lanes(findings, from))
        (heat::of_logits(&findings.lanes, from).render())
        (heat::of_nodes(findings, from).render())
        @if findings.nodes.compared.is_empty() {
            p.absent { "No nodes were traced in this comparison." }
        }
        (heat::of_layers(findings, from).render())
        div.beside { @for (at, lane) in lanes() {
            (values::histogram(lane, &format!("{from}/lanes/{at}")))
        } }
        div.beside { @for (at, lane) in lanes() {
            (values::likeliest(lane, texts, &format!("{from}/lanes/{at}")))
        } }
    }
}

fn first(comparison: &Comparison, findings: &Findings, from: &str) -> Markup {
    html! {
        @if let Verdict::Diverge { first } | Verdict::Known { first, .. } = &comparison.verdict {
            p.first-divergence { strong { "First divergence: " } (first) }
        }
        (values::first_differences(findings, from))
        @if let Some(parting) = &findings.greedy.first_divergence {
            p {
                "The continuations part at step "
                (counted(parting.step, &format!("{from}/greedy/first_divergence/step")))
                ": token " (parting.tokens[1]) " instead of " (parting.tokens[0])
                @if let Some(gap) = parting.gap {
                    ", a tie within "
                    (sized(gap, &format!("{from}/greedy/first_divergence/gap")))
                }
                "."
            }
        }
    }
}

/// The word of the terminal's table for a comparison.
fn word(receipt: &Receipt, comparison: &Comparison) -> &'static str {
    if !receipt.agrees(comparison) {
        comparison.verdict.word()
    } else if comparison.logits_bit_identical {
        "bit-identical"
    } else {
        comparison.tolerance.name()
    }
}

fn of_lanes(findings: &Findings, from: &str) -> Markup {
    let row = |(at, lane): (usize, &LaneFindings)| {
        let sum =
            |part: fn(&PositionFindings) -> usize| lane.positions.iter().map(part).sum::<usize>();
        let most = |part: fn(&PositionFindings) -> Option<f64>| {
            let all: Option<Vec<f64>> = lane.positions.iter().map(part).collect();
            size(all.and_then(|all| all.into_iter().max_by(f64::total_cmp)))
        };
        let median = lane.nmse().and_then(|all| metrics::median(&all));
        html! {
            tr data-lane={ (from) "/lanes/" (at) } {
                th scope="row" { (lane.lane.name()) }
                td.number data-sum="bit_equal" { (summed(sum(|p| p.distance.bit_equal))) }
                td.number data-sum="values" { (summed(sum(|p| p.distance.values))) }
                td.number { (most(|p| p.distance.max_abs)) }
                td.number { (size(median)) }
                td.number { (most(|p| p.distance.nmse)) }
                td.number { (most(|p| p.kl)) }
                td.number { (lane.positions.len() - lane.flips()) "/" (lane.positions.len()) }
            }
        }
    };
    html! {
        (scroll("Distances of each lane", html! {
            table {
                caption { "Logits, each lane as a whole" }
                (heads(&[
                    "lane", "bit-equal", "of", "max |Δ|", "NMSE median", "NMSE max", "KL max",
                    "top-1 same",
                ]))
                tbody { @for row in findings.lanes.iter().enumerate().map(row) { (row) } }
            }
        }))
    }
}

/// The first comparison that diverges, said at the top.
pub fn first_divergence(receipt: &Receipt) -> Option<Markup> {
    let cases = receipt.cases.iter().enumerate();
    let mut all = cases.flat_map(|(at, case)| {
        let compared = case.compared().enumerate();
        compared.map(move |(with, (comparison, found))| (case, comparison, found, [at, with]))
    });
    let wrong = |c: &Comparison| tone_of(receipt, c) == Tone::Bad;
    let (case, comparison, found, at) = all.find(|(_, c, _, _)| wrong(c))?;
    let node = found.and_then(|f| f.nodes.first_difference.as_ref());
    let value = node.or_else(|| {
        found?
            .lanes
            .iter()
            .find_map(|l| l.first_difference.as_ref())
    });
    Some(html! {
        p {
            a href={ "#" (anchor(at)) } {
                (case.claims.case) " with " (comparison.reference.name)
            }
            ": " (comparison.verdict)
        }
        @if let Some(value) = value { p { code { (explanation_of(value)) } } }
    })
}
