//! A report as a person reads it. Pure: text out of data.
#![forbid(unsafe_code)]

use super::{Control, Outcome, Report, Verdict};

impl Report {
    /// A line for each relation, what needs words, the counts and the status.
    pub fn render(&self) -> String {
        let rows: Vec<[String; 4]> = self.relations.iter().map(row).collect();
        let head = ["relation", "verdict", "positions", "control"].map(String::from);
        let widths: [usize; 4] = std::array::from_fn(|column| {
            let cells = rows.iter().chain([&head]).map(|row| row[column].len());
            cells.max().unwrap_or(0)
        });
        let mut text = String::new();
        for row in [&head].into_iter().chain(&rows) {
            let [a, b, c, d] = row;
            let [w, x, y, _] = widths;
            text += &format!("{a:<w$}  {b:<x$}  {c:>y$}  {d}\n");
        }
        let notes = self.relations.iter().filter_map(note);
        text.extend(notes);
        text + &self.counts()
    }

    fn counts(&self) -> String {
        let coverage = &self.coverage;
        let tokens: Vec<String> = self
            .prompts
            .iter()
            .map(|p| p.tokens.len().to_string())
            .collect();
        format!(
            "\n{} on {}, prompts of {} tokens, prefill and decode\nrelations {} compared, {} not \
             applicable; controls {} show; positions {} kept every bit\nstatus: {}\n",
            self.computed_by,
            self.architecture,
            tokens.join(" and "),
            coverage.relations,
            coverage.not_applicable,
            coverage.controls,
            coverage.positions,
            self.status.name(),
        )
    }
}

fn row(outcome: &Outcome) -> [String; 4] {
    let verdict = match &outcome.verdict {
        Verdict::Holds => "holds",
        Verdict::Broken { .. } => "BROKEN",
        Verdict::NotApplicable { .. } => "not applicable",
        Verdict::Failed { .. } => "FAILED",
    };
    let control = match outcome.control {
        Control::Differs => format!("shows at {}", outcome.control_changed),
        Control::Vacuous => format!("DOES NOT SHOW: {}", outcome.control_changed),
        Control::NotApplicable => "-".into(),
    };
    let positions = match outcome.positions.declared {
        0 => "-".into(),
        _ => outcome.positions.to_string(),
    };
    [outcome.relation.into(), verdict.into(), positions, control]
}

/// What a verdict other than holding needs in words.
fn note(outcome: &Outcome) -> Option<String> {
    let name = outcome.relation;
    let said = match &outcome.verdict {
        Verdict::Holds => None,
        Verdict::NotApplicable { why } | Verdict::Failed { why, .. } => Some(why.clone()),
        Verdict::Broken { first } => {
            let [expected, found] = [first.expected, first.found].map(f32::from_bits);
            Some(format!(
                "to {}: logit {} at position {} of prompt {} in {} is {found:e} (0x{:08x}) and \
                 was {expected:e} (0x{:08x})",
                outcome.edit,
                first.token,
                first.position,
                first.prompt,
                first.lane.name(),
                first.found,
                first.expected,
            ))
        }
    };
    let vacuous = (outcome.control == Control::Vacuous).then(|| {
        format!(
            "the control changes nothing on one lane: to {}",
            outcome.control_edit
        )
    });
    let lines = said
        .into_iter()
        .chain(vacuous)
        .map(|words| format!("{name}: {words}\n"));
    let lines: String = lines.collect();
    (!lines.is_empty()).then_some(lines)
}
