//! Entries for known divergences that excuse nothing any more.

use crate::judge::known_divergences::{Entry, Ledger};
use crate::judge::verdict::Verdict;
use crate::receipt::CaseReceipt;

/// The entries of the list whose case or model was compared with their reference, and agreed.
pub fn entries(ledger: &Ledger, cases: &[CaseReceipt]) -> Vec<String> {
    let stale = |entry: &&Entry| {
        let cases = cases.iter().map(|c| &c.claims);
        let cases = cases.filter(|c| entry.covers(&c.case, &c.model.sha256));
        let own = cases.flat_map(|claims| &claims.comparisons);
        let own = own.filter(|c| c.reference.name == entry.reference);
        let verdicts: Vec<&Verdict> = own.map(|c| &c.verdict).collect();
        let differs = |v: &&Verdict| matches!(v, Verdict::Known { .. } | Verdict::Diverge { .. });
        let settled = |v: &&&Verdict| matches!(v, Verdict::Agree | Verdict::NotJudged);
        let agree = verdicts.iter().filter(settled).count();
        agree >= entry.stale_from() && !verdicts.iter().any(differs)
    };
    ledger
        .entries
        .iter()
        .filter(stale)
        .map(Entry::to_string)
        .collect()
}
