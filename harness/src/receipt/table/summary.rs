//! The last lines: counts, coverage, what stood in for what, the status, what to do next.

use std::collections::BTreeMap;

use crate::judge::compare::Findings;
use crate::judge::outcome::Outcome;
use crate::judge::verdict::Verdict;
use crate::receipt::table::live::instead;
use crate::receipt::{CaseReceipt, Comparison, Receipt, comparisons, exact};

/// How many of the slowest cases are named.
const SLOWEST: usize = 3;

/// All of them, each with its line end.
pub fn lines(receipt: &Receipt) -> String {
    let mut lines = counts(receipt);
    let coverage = receipt.coverage.named();
    let coverage = coverage.map(|(name, count)| format!("{name} {count}"));
    let (what, how_much) = coverage.split_at(4);
    lines.push(format!("compared/declared: {},", what.join(", ")));
    lines.push(format!("  {}", how_much.join(", ")));
    if comparisons(&receipt.cases).any(|c| !c.live && !c.reference.is_built_in()) {
        lines.push(receipt.features.counts());
    }
    let left_out = receipt.circumstances.left_out.len();
    if left_out > 0 {
        lines.push(format!("left out: {left_out} case(s), each named above"));
    }
    if !receipt.parity.cpp_available {
        lines.push(format!("rust-only: no live C++ ran, {}", stood_in(receipt)));
    }
    let unanswered = &receipt.circumstances.unanswered;
    if !unanswered.is_empty() {
        let names = unanswered.join(", ");
        lines.push(format!(
            "no case was answered by {names}: the lines above say why"
        ));
    }
    lines.extend(slowest(receipt));
    lines.extend(next(receipt));
    lines.push(format!("status: {}", receipt.parity.status));
    lines.join("\n") + "\n"
}

/// Where the time went, if there was enough of it to ask.
fn slowest(receipt: &Receipt) -> Option<String> {
    let mut cases: Vec<&CaseReceipt> = receipt.cases.iter().collect();
    cases.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    cases.truncate(SLOWEST);
    let named = |case: &&CaseReceipt| format!("{} {:.1} s", case.claims.case, case.seconds);
    let named: Vec<String> = cases.iter().map(named).collect();
    let all = receipt.circumstances.seconds;
    (cases.len() == SLOWEST).then(|| format!("time: {all:.1} s; slowest {}", named.join(", ")))
}

fn counts(receipt: &Receipt) -> Vec<String> {
    let all = || comparisons(&receipt.cases);
    let count = |wanted: fn(&Comparison) -> bool| all().filter(|c| wanted(c)).count();
    let agree = all().filter(|c| receipt.agrees(c)).count();
    let identical = count(|c| c.verdict == Verdict::Agree && c.logits_bit_identical);
    let diverge = count(|c| c.verdict.outcome() == Outcome::Divergence);
    let known = count(|c| matches!(c.verdict, Verdict::Known { .. }));
    let open = all().filter(|c| c.verdict == Verdict::NotJudged && !receipt.agrees(c));
    let open = open.count();
    let declined = count(|c| matches!(c.verdict, Verdict::Declined { .. }));
    let other = all().count() - agree - diverge - known - open - declined;
    let repetitions = || receipt.cases.iter().flat_map(|c| &c.claims.repetitions);
    let repeated = repetitions().filter(|r| r.verdict == Verdict::Agree);
    let [values, equal] = exact_logits(receipt);
    let mut lines = vec![
        format!(
            "{} case(s), {} comparisons: {agree} agree ({identical} of them bit-identical,",
            receipt.cases.len() + receipt.failures.len(),
            all().count(),
        ),
        format!("  {} within a looser tier),", agree - identical),
        format!(
            "  {diverge} diverge, {known} known, {open} not judged, {declined} declined, {other} \
             not compared;"
        ),
        format!(
            "  {}/{} repetitions bit-identical",
            repeated.count(),
            repetitions().count(),
        ),
    ];
    let together = receipt.pooled.iter().filter(|lane| lane.broken.is_some());
    match together.count() {
        0 => {}
        n => lines.push(format!(
            "  {n} lane(s) diverge over all documents together, named above"
        )),
    }
    let mut ended: BTreeMap<Outcome, usize> = BTreeMap::new();
    for failed in &receipt.failures {
        *ended.entry(failed.status).or_default() += 1;
    }
    let ended = ended.into_iter().map(|(how, count)| {
        format!("  {count} case(s) ended before any comparison: {how}, named above")
    });
    lines.extend(ended);
    lines.push(format!(
        "where every bit is demanded: bit-identical {equal}/{values} logits"
    ));
    lines
}

/// Logits of which every bit is demanded, and those that have them all.
fn exact_logits(receipt: &Receipt) -> [usize; 2] {
    let found = exact(&receipt.cases).map(Findings::logits);
    found.fold([0, 0], |sum, one| [sum[0] + one[0], sum[1] + one[1]])
}

/// What was there instead of a live reference: only what answered.
fn stood_in(receipt: &Receipt) -> String {
    let answered = |case: &&CaseReceipt| {
        let mut own = case.claims.comparisons.iter();
        own.any(|c| !c.live && c.is_answered() && !c.reference.is_built_in())
    };
    let built_in = |c: &Comparison| c.is_answered() && c.reference.is_built_in();
    let beside = comparisons(&receipt.cases).any(built_in);
    match receipt.cases.iter().filter(answered).count() {
        0 if beside => "and no recording: the built-in engine stood in for both".into(),
        0 => "and no recording stood in for it: nothing was compared with a reference".into(),
        n if n == receipt.cases.len() => "recordings of the reference stood in for it".into(),
        n => format!(
            "recordings of the reference stood in for it in {n} of {} cases",
            receipt.cases.len()
        ),
    }
}

/// What brings the answers that are missing.
fn next(receipt: &Receipt) -> Option<String> {
    let asked = receipt.parity.cpp_available;
    let left_out = receipt.circumstances.left_out.iter();
    let mut names = left_out.flat_map(|left| &left.answered_by);
    if let Some(name) = names
        .next()
        .filter(|_| receipt.coverage.cases.declared == 0)
    {
        let case = &receipt.circumstances.left_out[0].case;
        return Some(format!(
            "no reference that answers {case} was selected: add --reference {name}"
        ));
    }
    let alone = |c: &&CaseReceipt| c.claims.coverage.references.compared == 0;
    let case = receipt.cases.iter().find(alone).filter(|_| !asked)?;
    let name = instead(&case.claims.model.architecture);
    Some(format!(
        "next: scripts/reference.sh {name} builds a C++ reference that reads this model; then add \
         --reference {name}"
    ))
}
