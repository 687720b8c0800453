//! Where bits differ: what sets the two lanes apart, said before any number, and then the numbers.

use crate::io::table::decibels;
use crate::judge::compare::{Findings, LaneFindings};
use crate::judge::verdict::Verdict;
use crate::numbers::metrics::UlpHistogram;
use crate::receipt::explanation::shown;
use crate::receipt::{CaseReceipt, Comparison, Pooled, Receipt};

/// One line for each reference whose bits are not ours: what differs before anything is computed.
pub fn circumstances(receipt: &Receipt) -> Vec<String> {
    let mut shown: Vec<&str> = Vec::new();
    let mut lines = Vec::new();
    for (_, comparison, _) in differing(receipt) {
        let name = &comparison.reference.name;
        if !shown.contains(&&name[..]) {
            shown.push(name);
            lines.push(format!("{name}: {}", apart(receipt, comparison)));
        }
    }
    lines
}

type Differing<'r> = (&'r CaseReceipt, &'r Comparison, &'r Findings);

/// The comparisons that were made and are not bit-identical.
fn differing(receipt: &Receipt) -> impl Iterator<Item = Differing<'_>> {
    let all = receipt.cases.iter().flat_map(|case| {
        let found = case.compared();
        found.filter_map(move |(comparison, found)| Some((case, comparison, found?)))
    });
    all.filter(|(_, comparison, _)| !comparison.logits_bit_identical)
}

fn apart(receipt: &Receipt, comparison: &Comparison) -> String {
    let (theirs, ours) = (&comparison.reference.profile, &comparison.profile);
    let mut facts = vec![if theirs == ours {
        format!("the same arithmetic, {ours}")
    } else {
        format!("{theirs} against our {ours}")
    }];
    if theirs.ends_with("-wide") {
        facts.push("it has the I2_S weights as F32".into());
    }
    let mut live = receipt.circumstances.references.iter();
    match live.find(|live| live.name == comparison.reference.name) {
        Some(live) => {
            facts.push(format!("built from {}", live.origin));
            facts.extend(live.flags.as_ref().map(|flags| format!("flags {flags}")));
            facts.extend(live.compiler.as_ref().map(|by| format!("by {by}")));
        }
        None if comparison.reference.is_built_in() => facts.push("the built-in engine".into()),
        None => facts.push("a recording".into()),
    }
    let threads = receipt.circumstances.threads;
    if threads > 1 {
        facts.push(format!("one thread against our {threads}"));
    }
    facts.join("; ")
}

/// How the bits differ, lane by lane, and the first node that does.
pub fn tensors(receipt: &Receipt) -> Vec<String> {
    let mut lines = Vec::new();
    for (case, comparison, findings) in differing(receipt) {
        let (case, with) = (&case.claims.case, &comparison.reference.name);
        for lane in findings
            .lanes
            .iter()
            .filter(|lane| !lane.is_bit_identical())
        {
            lines.push(format!("{case} with {with}, {}", bits(lane)));
        }
        // What is outside its tier has its first node in a note of its own.
        let first = findings.nodes.first_difference.as_ref();
        if let Some(first) = first.filter(|_| comparison.verdict == Verdict::Agree) {
            lines.push(format!("  first node to differ: {}", shown(first)));
        }
    }
    lines
}

fn bits(lane: &LaneFindings) -> String {
    let sum = |part: fn(&crate::numbers::metrics::Distance) -> usize| {
        let rows = lane.positions.iter().map(|p| part(&p.distance));
        rows.sum::<usize>()
    };
    let (equal, all) = (sum(|d| d.bit_equal), sum(|d| d.values));
    let ulps = lane.ulps.as_ref().map(UlpHistogram::to_string);
    let least = lane.positions.iter().filter_map(|p| p.distance.sqnr());
    let least = least.reduce(f64::min);
    format!(
        "{}: bit-identical {equal}/{all} logits; SQNR {} or more; ulp {}",
        lane.lane.name(),
        decibels(least),
        ulps.unwrap_or_default()
    )
}

/// What all documents together say about each lane that is judged by distances; `all` of them, or
/// those that are not simply within their gates.
pub fn pooled(receipt: &Receipt, all: bool) -> Vec<String> {
    let shown = |p: &&Pooled| all || p.broken.is_some() || p.undecided.is_some();
    receipt.pooled.iter().filter(shown).map(sentence).collect()
}

fn sentence(pooled: &Pooled) -> String {
    let between = |interval: Option<[f64; 2]>| {
        interval.map_or(String::new(), |[a, b]| format!(" [{a:.1e}, {b:.1e}]"))
    };
    let verdict = match (&pooled.broken, &pooled.undecided) {
        (Some(rule), _) => format!("DIVERGE: {rule}"),
        (None, Some(rule)) => format!("NOT JUDGED: {rule}, and too few documents to judge by it"),
        (None, None) if pooled.judged => "within it".into(),
        (None, None) => "within it, with too few documents to tell more".into(),
    };
    let [low, high] = pooled.top1_interval.map(|share| 100.0 * share);
    format!(
        "{} {} at {}, {} documents: NMSE median {:.1e}, mean {:.1e}{}; KLD mean {:.1e}{}; \
         top-1 {}/{} [{low:.1} %, {high:.1} %]; tails per document: {}: {verdict}",
        pooled.reference,
        pooled.lane.name(),
        pooled.tolerance.name(),
        pooled.documents,
        pooled.nmse_median,
        pooled.nmse_mean,
        between(pooled.nmse_interval),
        pooled.kld_mean,
        between(pooled.kld_interval),
        pooled.positions - pooled.flips,
        pooled.positions,
        pooled.tail.name(),
    )
}
