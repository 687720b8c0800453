//! What was not compared, and why: as prominent as what was.

use maud::{Markup, html};

use super::figures::counted;
use super::page::{heads, scroll};
use crate::case::ability;
use crate::judge::verdict::Verdict;
use crate::receipt::{Failed, Receipt, comparisons};

/// Coverage, and everything that was left out, ended early or took no part.
pub fn uncompared(receipt: &Receipt) -> Markup {
    let lines = lines(receipt);
    html! {
        (scroll("Coverage", html! {
            table {
                caption { "What was to be compared, and what was" }
                (heads(&["", "compared", "declared"]))
                tbody { @for (name, count) in receipt.coverage.named() {
                    @let from = format!("/coverage/{}", name.replace(' ', "_"));
                    @if !count.is_empty() {
                        tr.short[!count.is_complete()] {
                            th scope="row" { (name) }
                            td.number { (counted(count.compared, &format!("{from}/compared"))) }
                            td.number { (counted(count.declared, &format!("{from}/declared"))) }
                        }
                    }
                } }
            }
        }))
        @if lines.is_empty() {
            p { "Nothing was left out, nothing ended early." }
        } @else {
            ul.left-out { @for (what, why) in &lines { li { strong { (what) } ": " (why) } } }
        }
        @if !receipt.features.is_empty() {
            details {
                summary { "Parts of the engine that no comparison exercised" }
                ul { @for line in receipt.features.lines() { li { (line) } } }
            }
        }
    }
}

fn lines(receipt: &Receipt) -> Vec<(String, String)> {
    let about = &receipt.circumstances;
    let mut lines = Vec::new();
    let failed = |f: &Failed| (f.case.clone(), format!("{}: {}", f.status, f.message));
    lines.extend(receipt.failures.iter().map(failed));
    lines.extend(
        about
            .left_out
            .iter()
            .map(|l| (l.case.clone(), format!("left out: {}", l.why))),
    );
    lines.extend(about.unanswered.iter().map(|name| {
        (
            name.clone(),
            "was asked for by name and answered no case".to_owned(),
        )
    }));
    for case in &receipt.cases {
        for comparison in &case.claims.comparisons {
            let who = format!("{} with {}", case.claims.case, comparison.reference.name);
            if let Verdict::Declined { .. } = comparison.verdict {
                lines.push((who, comparison.verdict.to_string()));
            } else if !comparison.coverage.is_complete() {
                lines.push((who, comparison.coverage.shortfall()));
            }
        }
        let lacking = &case.claims.engine.lacking;
        if !lacking.is_empty() {
            let lacking = ability::words(lacking);
            let why = format!("the engine was not asked for what it lacks: {lacking}");
            lines.push((case.claims.case.clone(), why));
        }
    }
    lines.extend(about.stale_entries.iter().map(|entry| {
        (
            entry.clone(),
            "an entry for a known divergence that excuses nothing any more".to_owned(),
        )
    }));
    let changed = about.changed_inputs.iter();
    lines.extend(changed.map(|path| (path.clone(), "was changed during the run".to_owned())));
    if comparisons(&receipt.cases).all(|c| !c.live) {
        let why = "no live reference was asked: recordings stood in for it";
        lines.push(("C++".into(), why.to_owned()));
    }
    lines
}
