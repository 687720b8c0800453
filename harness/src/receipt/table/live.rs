//! What is said about the references that computed now, below the table.

use std::collections::BTreeMap;

use crate::judge::verdict::Verdict;
use crate::receipt::{Comparison, Receipt, comparisons, disagreement};

/// Who declined what, who stands alone, who answered, and whether they agree with themselves.
pub fn lines(receipt: &Receipt) -> Vec<String> {
    let mut lines = declined(receipt);
    for case in &receipt.cases {
        lines.extend(disagreement::sentences(&case.claims));
    }
    for live in &receipt.circumstances.references {
        let own = comparisons(&receipt.cases).filter(|c| c.reference.name == live.name);
        let own: Vec<&Comparison> = own.collect();
        let answered = own.iter().filter(|c| c.is_answered()).count();
        let identical = own.iter().filter(|c| c.logits_bit_identical).count();
        let controls = receipt.cases.iter().flat_map(|c| &c.claims.controls);
        let controls: Vec<_> = controls
            .filter(|control| own.iter().any(|c| is_of(control, c)))
            .collect();
        let steady = controls
            .iter()
            .filter(|c| c.verdict == Verdict::Agree)
            .count();
        lines.push(format!(
            "live {} ({}): {answered} of {} cases answered, {identical} bit-identical; with \
             itself {steady} of {} times the same",
            live.name,
            live.origin,
            own.len(),
            controls.len(),
        ));
    }
    lines
}

/// The same library on the same form of the weights, under another name.
fn is_of(control: &Comparison, comparison: &Comparison) -> bool {
    let (one, other) = (&control.reference, &comparison.reference);
    one.fingerprint == other.fingerprint && one.profile == other.profile
}

/// One line for each reason, however many cases it has.
fn declined(receipt: &Receipt) -> Vec<String> {
    let mut reasons: BTreeMap<(&str, &str, &str), Vec<&str>> = BTreeMap::new();
    for case in &receipt.cases {
        for comparison in &case.claims.comparisons {
            if let Verdict::Declined { message } = &comparison.verdict {
                let instead = instead(&case.claims.model.architecture);
                let reason = (&comparison.reference.name[..], &message[..], instead);
                reasons.entry(reason).or_default().push(&case.claims.case);
            }
        }
    }
    let asked = &receipt.circumstances.references;
    let asked = |instead: &str| asked.iter().any(|live| live.name == instead);
    let line = |((name, message, instead), cases): ((&str, &str, &str), Vec<&str>)| {
        let next = if instead == name || asked(instead) {
            String::new()
        } else {
            format!("; {instead} reads that architecture: add --reference {instead}")
        };
        format!("{name} declined {}: {message}{next}", cases.join(", "))
    };
    reasons.into_iter().map(line).collect()
}

/// The reference that reads an architecture: ik reads every one, bitnet does not know the one with
/// a dot in its name.
pub fn instead(architecture: &str) -> &'static str {
    if architecture == "bitnet-b1.58" {
        "ik"
    } else {
        "bitnet"
    }
}
