//! The page of a run of `crossval`: verdict, grid, numbers, what was not compared, provenance.

use maud::{Markup, html};

use super::figures::{counted, share, summed, tile};
use super::page::{self, Section, Tone, heads, scroll};
use super::{comparison, grid, provenance, uncompared};
use crate::judge::compare::Findings;
use crate::judge::outcome::Outcome;
use crate::judge::verdict::Verdict;
use crate::receipt::table::{pooled_lines, summary};
use crate::receipt::{Receipt, comparisons};

/// The whole page.
pub fn page(receipt: &Receipt) -> String {
    let status = receipt.parity.status;
    let took = receipt.circumstances.seconds;
    let verdict = page::Verdict {
        about: html! {
            "harness crossval · " time { (receipt.timestamp) } " · " (format!("{took:.1}")) " s"
        },
        tone: Tone::of(status),
        answer: answer(receipt),
        because: because(receipt),
    };
    let mut sections = vec![
        Section::new("cases", "Cases", grid::grid(receipt)),
        Section::new("comparisons", "Comparisons", comparison::all(receipt)),
    ];
    let together = pooled_lines(receipt, true);
    if !together.is_empty() {
        let body = html! { ul { @for line in &together { li { (line) } } } };
        sections.push(Section::new("together", "All documents together", body));
    }
    sections.extend([
        Section::new(
            "repetitions",
            "Repetitions and controls",
            repetitions(receipt),
        ),
        Section::new(
            "uncompared",
            "Not compared",
            uncompared::uncompared(receipt),
        ),
        Section::new("provenance", "Provenance", provenance::provenance(receipt)),
    ]);
    page::page("harness crossval", &verdict, &sections)
}

/// The answer in a few words.
fn answer(receipt: &Receipt) -> &'static str {
    let exact = || comparisons(&receipt.cases).all(|c| c.logits_bit_identical || c.is_declined());
    match receipt.parity.status {
        Outcome::Ok | Outcome::RustOnly if exact() => "Every bit agrees",
        Outcome::Ok | Outcome::RustOnly => "Agrees within its tolerances",
        Outcome::Incomplete => "Incomplete: less was compared than declared",
        Outcome::ReferenceMissing => "A reference is missing",
        Outcome::StaleEntry => "A known divergence is gone",
        Outcome::ReferenceDied => "A reference died",
        Outcome::Environment => "The environment failed",
        Outcome::Refused => "An input was refused",
        Outcome::EngineDied => "The engine died",
        Outcome::Divergence => "Diverges",
        Outcome::Void => "Void: an input changed during the run",
    }
}

fn because(receipt: &Receipt) -> Markup {
    let all = || comparisons(&receipt.cases);
    let agree = all().filter(|c| receipt.agrees(c)).count();
    let known = all()
        .filter(|c| matches!(c.verdict, Verdict::Known { .. }))
        .count();
    let found = || {
        receipt
            .cases
            .iter()
            .flat_map(|case| case.compared().filter_map(|(_, f)| f))
    };
    let sum = |part: fn(&Findings) -> [usize; 2]| {
        found()
            .map(part)
            .fold([0, 0], |[a, b], [c, d]| [a + c, b + d])
    };
    let [logits, equal] = sum(Findings::logits);
    let repeated = || {
        receipt
            .cases
            .iter()
            .flat_map(|case| &case.claims.repetitions)
    };
    let same = repeated().filter(|c| c.verdict == Verdict::Agree).count();
    let coverage = &receipt.coverage;
    html! {
        @if let Some(first) = comparison::first_divergence(receipt) {
            div.first { h2 { "First divergence" } (first) }
        }
        dl.tiles {
            (tile("comparisons that agree", summed(agree), html! {
                " of " (summed(all().count()))
                @if known > 0 { ", " (summed(known)) " known" }
            }))
            (tile("logits bit-identical", html! { (share([equal, logits])) }, html! {
                span data-total="bit_equal" { (summed(equal)) } " of "
                span data-total="values" { (summed(logits)) }
            }))
            (tile("nodes compared", counted(coverage.nodes.compared, "/coverage/nodes/compared"),
                html! { " of " (counted(coverage.nodes.declared, "/coverage/nodes/declared")) }))
            (tile("greedy steps compared",
                counted(coverage.greedy_steps.compared, "/coverage/greedy_steps/compared"),
                html! {
                    " of "
                    (counted(coverage.greedy_steps.declared, "/coverage/greedy_steps/declared"))
                }))
            (tile("repetitions with the same bits", summed(same), html! {
                " of " (summed(repeated().count()))
            }))
        }
        pre.summary { (summary(receipt)) }
    }
}

/// The engine with itself, the references with themselves and with each other.
fn repetitions(receipt: &Receipt) -> Markup {
    let rows = receipt.cases.iter().flat_map(|case| {
        let claims = &case.claims;
        let repeated = claims
            .repetitions
            .iter()
            .map(|c| ("the engine again", String::new(), c));
        let controls = claims
            .controls
            .iter()
            .map(|c| ("a reference again", String::new(), c));
        let witnesses = claims.witnesses.iter();
        let witnesses = witnesses.map(|w| ("two references", format!("{} and ", w.name), &w.with));
        let all = repeated.chain(controls).chain(witnesses);
        all.map(|(what, first, with)| (&claims.case, what, first, with))
    });
    let rows: Vec<_> = rows.collect();
    html! {
        p {
            "What must give the same bits before an engine is blamed: the engine with other "
            "kernels and numbers of threads, live references run twice, and those of one "
            "arithmetic with each other."
        }
        details {
            summary { (rows.len()) " in all" }
            (scroll("Repetitions and controls", html! {
                table {
                    (heads(&["case", "what", "who", "verdict"]))
                    tbody { @for (case, what, first, with) in rows {
                        tr {
                            th scope="row" { (case) }
                            td { (what) }
                            td { (first) (with.reference.name) }
                            td { (with.verdict) }
                        }
                    } }
                }
            }))
        }
    }
}
