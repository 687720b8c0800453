//! A report as a person reads it. Pure: text out of data.

use super::{Control, Report, Row, Verdict};
use crate::io::table::{Table, number, words};

impl Report {
    /// A line for each relation, what needs words, the counts and the outcome.
    pub fn render(&self, width: Option<usize>) -> String {
        let mut table = Table::new(&[
            words("relation"),
            words("verdict"),
            number("positions"),
            words("control"),
        ]);
        self.relations.iter().for_each(|row| table.row(cells(row)));
        let notes = self.relations.iter().flat_map(notes);
        table.render(width) + &notes.collect::<String>() + &self.counts()
    }

    fn counts(&self) -> String {
        let coverage = &self.coverage;
        let lengths = self.prompts.iter().map(|p| p.tokens.len().to_string());
        format!(
            "\n{} on {}, prompts of {} tokens, prefill and decode\nrelations {} compared, {} not \
             applicable; controls {} show; positions {} kept every bit\nstatus: {}\n",
            self.computed_by,
            self.architecture,
            lengths.collect::<Vec<_>>().join(" and "),
            coverage.relations,
            coverage.not_applicable,
            coverage.controls,
            coverage.positions,
            self.status.name(),
        )
    }
}

fn cells(row: &Row) -> [String; 4] {
    let verdict = match &row.verdict {
        Verdict::Holds => "holds",
        Verdict::Broken { .. } => "BROKEN",
        Verdict::NotApplicable { .. } => "not applicable",
        Verdict::Failed { .. } => "FAILED",
    };
    let control = match row.control {
        Control::Differs => format!("shows at {}", row.control_changed),
        Control::Vacuous => format!("DOES NOT SHOW: {}", row.control_changed),
        Control::NotApplicable => "-".into(),
    };
    let positions = match row.positions.declared {
        0 => "-".into(),
        _ => row.positions.to_string(),
    };
    [row.relation.into(), verdict.into(), positions, control]
}

/// What a verdict other than holding needs in words.
fn notes(row: &Row) -> Vec<String> {
    let mut notes = Vec::new();
    match &row.verdict {
        Verdict::Holds => {}
        Verdict::NotApplicable { why } | Verdict::Failed { why, .. } => notes.push(why.clone()),
        Verdict::Broken { first } => {
            let [expected, found] = [first.expected, first.found].map(f32::from_bits);
            notes.push(format!(
                "to {}: logit {} at position {} of prompt {} in {} is {found:e} (0x{:08x}) and \
                 was {expected:e} (0x{:08x})",
                row.edit,
                first.token,
                first.position,
                first.prompt,
                first.lane.name(),
                first.found,
                first.expected,
            ));
        }
    }
    let ended = row.ended_by.as_ref();
    notes.extend(ended.map(|why| format!("was not computed to its end: {why}")));
    if row.control == Control::Vacuous {
        let edit = row.control_edit;
        notes.push(format!(
            "the control changes nothing on one lane: to {edit}"
        ));
    }
    let line = |note| format!("{}: {note}\n", row.relation);
    notes.into_iter().map(line).collect()
}
