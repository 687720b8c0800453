//! Divergences that are known: each has a reason, a bound, and must still be there.
//!
//! An entry that excuses nothing in a run that looked at what it is about is stale, and a stale
//! entry fails the run: nobody keeps an excuse longer than it is needed.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::exit::Failure;
use crate::io::table::scientific;
use crate::judge::compare::Findings;
use crate::judge::documents::above;
use crate::judge::tolerance::tolerances;

/// The name of the list in the fixtures folder.
pub const FILE: &str = "known_divergences.toml";

/// The whole list.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// Every known divergence.
    #[serde(default, rename = "divergence")]
    pub entries: Vec<Entry>,
}

/// One known divergence, of a case or of every prompt on a model.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Name of the case.
    pub case: Option<String>,
    /// The model, relative to the fixtures folder, where it is about no case.
    pub model: Option<String>,
    /// Of the model's bytes, as its recordings have it.
    #[serde(skip)]
    pub model_sha256: String,
    /// Name of the reference.
    pub reference: String,
    /// Why it is not a fault of the engine, for whoever reads the receipt.
    pub reason: String,
    /// How far it may go.
    pub bound: Bound,
}

/// How far a known divergence may go. What is not named may not diverge at all.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// Largest NMSE at any position and of any node.
    pub nmse: f64,
    /// The step from which on the continuation may be another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub greedy_from: Option<usize>,
}

/// A bound that was parsed is a number, so it equals itself.
impl Eq for Bound {}

impl Ledger {
    /// Reads and checks the list.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |why: String| Failure::input(format!("{FILE}: {why}"));
        let ledger: Ledger = toml::from_str(text).map_err(|e| wrong(e.to_string()))?;
        let mut seen = BTreeSet::new();
        for entry in &ledger.entries {
            if entry.case.is_some() == entry.model.is_some() {
                return Err(wrong(format!("{entry} is about a case or about a model")));
            }
            if !seen.insert(entry.to_string()) {
                return Err(wrong(format!("{entry} is listed twice")));
            }
            if entry.reason.trim().is_empty() {
                return Err(wrong(format!("{entry} has no reason")));
            }
            if !(entry.bound.nmse >= 0.0 && entry.bound.nmse.is_finite()) {
                return Err(wrong(format!("{entry} has no bound")));
            }
        }
        Ok(ledger)
    }

    /// The entry about a reference and a case on the model with that hash.
    pub fn about(&self, case: &str, model_sha256: &str, reference: &str) -> Option<&Entry> {
        let mut entries = self.entries.iter();
        entries.find(|entry| entry.covers(case, model_sha256) && entry.reference == reference)
    }
}

impl Entry {
    /// Whether it is about that case, or about the model with that hash.
    pub fn covers(&self, case: &str, model_sha256: &str) -> bool {
        match &self.case {
            Some(own) => own == case,
            None => self.model_sha256 == model_sha256,
        }
    }

    /// Comparisons without a divergence from which on it excuses nothing any more: a single
    /// prompt does not show what is true of a model.
    pub fn stale_from(&self) -> usize {
        if self.case.is_some() {
            1
        } else {
            tolerances().pooled.documents
        }
    }
}

impl fmt::Display for Entry {
    /// What it is about and whom: `bitnet-ishmael with ik`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = self.case.iter().chain(&self.model);
        let about: Vec<&str> = about.map(String::as_str).collect();
        write!(f, "{} with {}", about.join(" and "), self.reference)
    }
}

impl Bound {
    /// The first thing about the findings that goes beyond it, with its value. Other token ids, a
    /// value that is no number, and another text of the same ids always do.
    pub fn exceeded_by(&self, findings: &Findings) -> Option<String> {
        if findings.tokens.first_difference.is_some() {
            return Some("the token ids differ".into());
        }
        let rows = findings.lanes.iter().flat_map(|lane| {
            let place = |p: usize| format!("{} position {p}", lane.lane.name());
            let rows = lane.positions.iter();
            rows.map(move |row| (place(row.position), &row.distance))
        });
        let nodes = findings.nodes.compared.iter();
        let nodes = nodes.map(|node| (format!("node {}", node.key), &node.distance));
        let mut beyond = rows.chain(nodes).filter_map(|(place, distance)| {
            if distance.not_finite != [0, 0] {
                return Some(format!("{place}: values that are no numbers"));
            }
            let rule = above("NMSE", distance.nmse, self.nmse)?;
            let found = scientific(distance.nmse);
            Some(format!("{place}: {rule}: it is {found}"))
        });
        beyond.next().or_else(|| self.exceeded_by_greedy(findings))
    }

    fn exceeded_by_greedy(&self, findings: &Findings) -> Option<String> {
        let Some(parting) = &findings.greedy.first_divergence else {
            let same = findings.greedy.text_equal;
            return (!same).then(|| "equal greedy ids, different text".into());
        };
        let step = parting.step;
        match self.greedy_from {
            Some(from) if step >= from => None,
            Some(from) => Some(format!(
                "the continuation parts at step {step}, before {from}"
            )),
            None => Some(format!("the continuation parts at step {step}")),
        }
    }
}

/// The entry of a divergence that went beyond its bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exceeded {
    /// The reason it gives.
    pub reason: String,
    /// The bound it gives.
    pub bound: Bound,
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Exceeded { reason, bound } = self;
        write!(
            f,
            "{FILE} lists it ({reason}) with nmse = {:.1e}",
            bound.nmse
        )?;
        match bound.greedy_from {
            Some(from) => write!(f, ", greedy_from = {from}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "[[divergence]]\ncase = \"a\"\nreference = \"ik\"\n\
        reason = \"rounds half away from zero\"\nbound = { nmse = 1e-4 }\n";

    #[test]
    fn an_entry_without_reason_or_bound_or_twice_is_refused() {
        let ledger = Ledger::parse(SOUND).expect("as it is");
        assert!(ledger.about("a", "", "ik").is_some() && ledger.about("b", "", "ik").is_none());
        assert_eq!(
            Ledger::parse("").expect("nothing is known"),
            Ledger::default()
        );
        let refusal = |text: &str| Ledger::parse(text).expect_err(text).message;
        assert!(refusal(&SOUND.repeat(2)).contains("twice"));
        assert!(refusal(&SOUND.replace("rounds half away from zero", " ")).contains("reason"));
        assert!(refusal(&SOUND.replace("1e-4", "nan")).contains("no bound"));
        assert!(refusal(&SOUND.replace("1e-4", "-1.0")).contains("no bound"));
        assert!(refusal(&SOUND.replace("{ nmse = 1e-4 }", "{}")).contains("nmse"));
        assert!(refusal(&SOUND.replace("reason", "season")).contains("season"));
        let both = SOUND.replace("case = ", "model = \"m\"\ncase = ");
        assert!(refusal(&both).contains("a and m with ik is about a case or about a model"));
        assert!(refusal(&SOUND.replace("case = \"a\"", "")).contains("about a case or"));
    }
}
