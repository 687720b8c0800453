//! Single values of both sides: where they first differ, how many lie how far apart, which tokens
//! each side would choose.

use std::collections::BTreeMap;

use engine::Token;
use maud::{Markup, html};

use super::figures::{count, counted, sized};
use super::page::{heads, scroll};
use crate::judge::compare::{Findings, LaneFindings, ValueDifference};
use crate::numbers::metrics::{UlpHistogram, ulps};

/// The first values that differ, of the nodes and of each lane, with their bits.
pub fn first_differences(findings: &Findings, from: &str) -> Markup {
    let node = findings.nodes.first_difference.as_ref();
    let node = node.map(|found| ("node", found, format!("{from}/nodes/first_difference")));
    let lanes = findings.lanes.iter().enumerate().filter_map(|(at, lane)| {
        let found = lane.first_difference.as_ref()?;
        let from = format!("{from}/lanes/{at}/first_difference");
        Some((lane.lane.name(), found, from))
    });
    let all: Vec<_> = node.into_iter().chain(lanes).collect();
    if all.is_empty() {
        return html! {};
    }
    html! {
        (scroll("The first values that differ", html! {
            table {
                caption { "The first values that differ" }
                (heads(&["in", "where", "element", "reference", "ours", "ULP"]))
                tbody { @for (what, found, from) in &all {
                    tr {
                        th scope="row" { (what) }
                        td { code { (found.place) } }
                        td.number { (counted(found.index, &format!("{from}/index"))) }
                        @for side in 0..2 { (value(found, side, from)) }
                        td.number { (apart(found)) }
                    }
                } }
            }
        }))
    }
}

/// One of the two values, with its bits: as JSON has them.
fn value(found: &ValueDifference, side: usize, from: &str) -> Markup {
    let bits = found.bits[side];
    html! {
        td.number {
            data value=(bits) data-from={ (from) "/bits/" (side) } {
                (format!("{:e}", f32::from_bits(bits)))
            }
            br;
            code { (format!("0x{bits:08x}")) }
        }
    }
}

fn apart(found: &ValueDifference) -> String {
    let apart = ulps(found.bits.map(f32::from_bits));
    apart.map_or("no number".into(), |apart| count(apart as usize))
}

/// How many logits lie how far apart, as bars beside their numbers.
pub fn histogram(lane: &LaneFindings, from: &str) -> Markup {
    let Some(ulps) = &lane.ulps else {
        return html! {};
    };
    let most = ulps.buckets().map(|(_, pairs)| pairs).max().unwrap_or(0);
    let length = |pairs: usize| {
        let whole = (most as f64 + 1.0).ln();
        format!("width: {:.1}%", 100.0 * (pairs as f64 + 1.0).ln() / whole)
    };
    let buckets = UlpHistogram::buckets(ulps).enumerate();
    html! {
        table.bars {
            caption {
                "Logits of " (lane.lane.name()) " by units in the last place between the two"
                span.note { " (lengths are logarithmic)" }
            }
            (heads(&["ULP", "logits"]))
            tbody { @for (at, (name, pairs)) in buckets {
                tr {
                    th scope="row" { (name) }
                    td.long {
                        @if pairs > 0 { span.bar style=(length(pairs)) {} }
                        (counted(pairs, &format!("{from}/ulps/{at}")))
                    }
                }
            } }
        }
    }
}

/// The tokens each side would choose, at each position that has them.
pub fn likeliest(lane: &LaneFindings, texts: &BTreeMap<Token, String>, from: &str) -> Markup {
    let listed = lane.positions.iter().enumerate();
    let listed: Vec<_> = listed
        .filter(|(_, found)| !found.detail.likeliest.is_empty())
        .collect();
    if listed.is_empty() {
        return html! {};
    }
    html! {
        (scroll("Likeliest tokens", html! {
            table {
                caption {
                    "The likeliest next tokens of " (lane.lane.name())
                    span.note { " (kept where bits differ, and at the last position)" }
                }
                thead { tr {
                    th scope="col" { "position" }
                    th scope="col" { "token" }
                    th scope="col" { "text" }
                    th scope="col" { "reference" }
                    th scope="col" { "ours" }
                    th scope="col" { span.reader { "as bars" } }
                } }
                tbody { @for (at, found) in listed {
                    @for (rank, likely) in found.detail.likeliest.iter().enumerate() {
                        @let from = format!(
                            "{from}/positions/{at}/detail/likeliest/{rank}"
                        );
                        tr.first[rank == 0] {
                            th scope="row" {
                                @if rank == 0 { (found.position) }
                                @else { span.reader { (found.position) } }
                            }
                            td.number {
                                data value=(likely.token) data-from={ (from) "/token" } {
                                    (likely.token)
                                }
                            }
                            td { @match texts.get(&likely.token) {
                                Some(text) => code { (format!("{text:?}")) },
                                None => span.note { "unknown" },
                            } }
                            @for side in 0..2 {
                                td.number {
                                    (sized(
                                        likely.probabilities[side],
                                        &format!("{from}/probabilities/{side}"),
                                    ))
                                }
                            }
                            td.pair aria-hidden="true" {
                                @for share in likely.probabilities.map(|p| 100.0 * p) {
                                    span.bar style=(format!("width: {share:.1}%")) {}
                                }
                            }
                        }
                    }
                } }
            }
        }))
    }
}
