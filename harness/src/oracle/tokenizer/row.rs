//! One vocabulary and one reference: what came of it, and what all of them together mean.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::examine::Report;
use crate::case::shard::Share;
use crate::judge::outcome::{Lost, Outcome};
use crate::reference::LiveReference;

/// Everything that was found: what `--json` writes.
#[derive(Serialize)]
pub struct Summary {
    pub schema_version: u32,
    pub outcome: Outcome,
    /// Questions made up for each vocabulary.
    pub strings: u64,
    pub seed: u64,
    pub references: Vec<LiveReference>,
    /// One for each vocabulary and reference.
    pub rows: Vec<Row>,
    /// Vocabularies that are not on this machine.
    pub absent: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
}

/// One vocabulary and one reference.
#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
    /// The vocabulary, by the name of its file.
    pub model: String,
    /// Of the file; nothing where it could not be read.
    pub model_sha256: String,
    /// The command that asks the same two sides again.
    pub again: String,
    /// The reference's name; nothing where the vocabulary could not be read.
    pub reference: String,
    /// What came of it.
    #[serde(flatten)]
    pub ending: Ending,
}

/// What came of a vocabulary.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Both sides know it.
    Compared(Box<Report>),
    /// The reference does not take part.
    Skipped {
        /// In the reference's words.
        why: String,
        /// Whether it was expected to.
        is_gap: bool,
    },
    /// Nothing was compared, or what was compared does not count.
    Lost(Lost),
}

impl Row {
    /// What it means alone.
    pub fn outcome(&self) -> Outcome {
        match &self.ending {
            Ending::Compared(report) => report.outcome(),
            Ending::Skipped { is_gap: true, .. } => Outcome::Incomplete,
            Ending::Skipped { is_gap: false, .. } => Outcome::Ok,
            Ending::Lost(lost) => lost.outcome,
        }
    }

    /// What was found, if anything was compared.
    pub fn report(&self) -> Option<&Report> {
        match &self.ending {
            Ending::Compared(report) => Some(report),
            Ending::Skipped { .. } | Ending::Lost(_) => None,
        }
    }
}

/// References that knew no vocabulary: they were not there.
pub fn without_vocabulary(rows: &[Row]) -> BTreeSet<&str> {
    let skipped = |row: &&Row| matches!(row.ending, Ending::Skipped { .. });
    let (skipped, known): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(skipped);
    let [skipped, known] = [skipped, known].map(|rows| {
        let names = rows.into_iter().map(|row| &row.reference[..]);
        names.collect::<BTreeSet<_>>()
    });
    &skipped - &known
}

/// The worst of all rows; a reference that knew no vocabulary was not there, and nothing compared
/// is no agreement.
pub fn outcome(rows: &[Row]) -> Outcome {
    let floor = match (rows.is_empty(), without_vocabulary(rows).is_empty()) {
        (true, _) => Outcome::Incomplete,
        (_, true) => Outcome::Ok,
        (_, false) => Outcome::ReferenceMissing,
    };
    Outcome::worst(floor, rows.iter().map(Row::outcome))
}

/// What a result comes to whose rows were put together from shares.
pub fn of_shares(whole: &mut Value) -> Result<Outcome, String> {
    let rows = Vec::<Row>::deserialize(&whole["rows"]).map_err(|e| format!("rows: {e}"))?;
    let outcome = outcome(&rows);
    whole["outcome"] = json!(outcome);
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::outcome::assert_the_worse_counts;

    fn row(reference: &str, ending: Ending) -> Row {
        Row {
            model: "m".into(),
            model_sha256: String::new(),
            again: "harness tokenizer".into(),
            reference: reference.into(),
            ending,
        }
    }

    fn compared(equal: u64, different: u64, lost: Option<Outcome>) -> Ending {
        let mut report = Report::default();
        (report.answers.equal, report.answers.different) = (equal, different);
        report.lost = lost.map(lost_by);
        Ending::Compared(Box::new(report))
    }

    fn lost_by(outcome: Outcome) -> Lost {
        Lost::new(outcome, "why")
    }

    fn skipped(is_gap: bool) -> Ending {
        let why = "unknown".into();
        Ending::Skipped { why, is_gap }
    }

    #[test]
    fn of_every_two_rows_the_worse_counts_and_a_divergence_is_never_hidden() {
        use Outcome::{Divergence, Environment, Incomplete, Ok, ReferenceDied, Refused, Void};
        let ends: [(fn() -> Ending, Outcome); 10] = [
            (|| compared(4, 0, None), Ok),
            (|| skipped(false), Ok),
            (|| skipped(true), Incomplete),
            (|| compared(0, 0, None), Incomplete),
            (|| compared(4, 0, Some(ReferenceDied)), ReferenceDied),
            (|| compared(4, 1, Some(ReferenceDied)), Divergence),
            (|| compared(4, 1, None), Divergence),
            (|| Ending::Lost(lost_by(Environment)), Environment),
            (|| Ending::Lost(lost_by(Refused)), Refused),
            (|| Ending::Lost(lost_by(Void)), Void),
        ];
        assert_the_worse_counts(&ends, |ends| {
            let rows = ends.iter().map(|end| row("a", end()));
            // The reference knows another vocabulary.
            let sound = row("a", compared(4, 0, None));
            outcome(&rows.chain([sound]).collect::<Vec<_>>())
        });
    }

    #[test]
    fn a_reference_that_knows_no_vocabulary_is_missing() {
        assert_eq!(outcome(&[]), Outcome::Incomplete);
        let mut rows = vec![row("a", compared(4, 0, None)), row("b", skipped(false))];
        assert_eq!(outcome(&rows), Outcome::ReferenceMissing);
        assert_eq!(without_vocabulary(&rows), BTreeSet::from(["b"]));
        rows.push(row("a", compared(4, 1, None)));
        assert_eq!(outcome(&rows), Outcome::Divergence);
    }
}
