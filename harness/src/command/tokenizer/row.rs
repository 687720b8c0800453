//! One vocabulary and one reference: what came of it, and what all of them together mean.
#![forbid(unsafe_code)]

use engine::refusal::escape;
use serde::Serialize;

use super::subject::Subject;
use crate::exit::{Exit, Failure};
use crate::oracle::tokenizer::examine::Report;
use crate::oracle::tokenizer::table;

/// One vocabulary and one reference.
#[derive(Serialize)]
pub struct Row {
    /// As in the table.
    pub model: String,
    /// Of the file.
    pub model_sha256: String,
    /// As in the table.
    pub reference: String,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What came of a vocabulary.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Both sides know it.
    Compared(Box<Report>),
    /// The reference does not take part.
    Skipped {
        /// In the reference's words.
        why: String,
        /// Whether somebody counted on it.
        is_gap: bool,
    },
}

impl Row {
    /// For people.
    pub fn render(&self, subject: &Subject) -> String {
        let model = escape(&self.model);
        match &self.outcome {
            Outcome::Compared(report) => {
                let path = subject.path.display();
                let command = format!(
                    "harness tokenizer --model '{path}' --reference {}",
                    self.reference
                );
                let line = table::line(&model, &self.reference, report);
                line + &table::details(report, &command)
            }
            Outcome::Skipped { why, .. } => {
                let why = escape(why.lines().next().unwrap_or_default());
                format!("{model:<26} {:<15} skipped: {why}\n", self.reference)
            }
        }
    }

    /// What it means alone.
    fn exit(&self) -> Exit {
        match &self.outcome {
            Outcome::Compared(report) => report.exit(),
            Outcome::Skipped { is_gap: true, .. } => Exit::Incomplete,
            Outcome::Skipped { is_gap: false, .. } => Exit::Agrees,
        }
    }

    fn report(&self) -> Option<&Report> {
        match &self.outcome {
            Outcome::Compared(report) => Some(report),
            Outcome::Skipped { .. } => None,
        }
    }
}

/// What is said below the table.
pub fn closing(rows: &[Row]) -> String {
    let reports: Vec<&Report> = rows.iter().filter_map(Row::report).collect();
    let differing = reports.iter().map(|r| r.answers.different).sum::<u64>();
    let answers = reports.iter().map(|r| r.answers.answers()).sum::<u64>();
    let (compared, skipped) = (reports.len(), rows.len() - reports.len());
    let excuses = table::excuses(&reports);
    let items = reports.iter().map(|r| r.answers.items).sum::<u64>();
    let counts = format!(
        "{compared} comparisons, {items} ids and bytes in {answers} answers, {differing} differ"
    );
    format!("{excuses}{counts}; {skipped} skipped\n")
}

/// The worst of all rows: what differs weighs more than what is missing. A reference that knew no
/// vocabulary was not there.
pub fn verdict(rows: &[Row]) -> Result<Exit, Failure> {
    let exits: Vec<Exit> = rows.iter().map(Row::exit).collect();
    for exit in [Exit::Diverges, Exit::ReferenceDied] {
        if exits.contains(&exit) {
            return Ok(exit);
        }
    }
    let knows = |name: &String| {
        let mut own = rows.iter().filter(|row| row.reference == *name);
        own.any(|row| row.report().is_some())
    };
    let mut names = rows.iter().map(|row| &row.reference);
    if let Some(name) = names.find(|name| !knows(name)) {
        let message = format!("{name} knew no vocabulary: the rows above say why");
        let exit = Exit::ReferenceMissing;
        return Err(Failure::new(exit, message));
    }
    Ok(exits.into_iter().max().unwrap_or(Exit::Incomplete))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(reference: &str, outcome: Outcome) -> Row {
        Row {
            model: "m".into(),
            model_sha256: String::new(),
            reference: reference.into(),
            outcome,
        }
    }

    fn compared(equal: u64, different: u64) -> Outcome {
        let mut report = Report::default();
        (report.answers.equal, report.answers.different) = (equal, different);
        Outcome::Compared(Box::new(report))
    }

    fn skipped(is_gap: bool) -> Outcome {
        let why = "unknown".into();
        Outcome::Skipped { why, is_gap }
    }

    #[test]
    fn a_difference_weighs_more_than_a_gap_and_nothing_compared_is_no_agreement() {
        let verdict = |rows: &[Row]| verdict(rows).map_err(|failure| failure.exit);
        assert_eq!(verdict(&[]), Ok(Exit::Incomplete));
        let mut rows = vec![row("a", compared(4, 0))];
        assert_eq!(verdict(&rows), Ok(Exit::Agrees));
        rows.push(row("a", skipped(false)));
        assert_eq!(verdict(&rows), Ok(Exit::Agrees));
        rows.push(row("a", skipped(true)));
        assert_eq!(verdict(&rows), Ok(Exit::Incomplete));
        rows.push(row("b", skipped(false)));
        assert_eq!(verdict(&rows), Err(Exit::ReferenceMissing));
        rows.push(row("a", compared(4, 1)));
        assert_eq!(verdict(&rows), Ok(Exit::Diverges));
        assert_eq!(verdict(&[row("a", compared(0, 0))]), Ok(Exit::Incomplete));
    }
}
