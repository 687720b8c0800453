//! A report as a person reads it. Pure: text out of data.

use engine::refusal::escape;

use super::{Answers, Coverage, Difference, LEAST, Mode, Report, Smallest, Tally, Tried};
use crate::io::table::{Table, words};

/// Trials printed at most that did not simply agree.
const PRINTED: usize = 12;

impl Report {
    /// Coverage, what did not agree, the smallest of it, the counts and the outcome.
    pub fn render(&self, width: Option<usize>) -> String {
        let mut text = self.coverage.render(width);
        text.push('\n');
        let odd: Vec<String> = self.trials.iter().filter_map(line).collect();
        text.extend(odd.iter().take(PRINTED).cloned());
        if odd.len() > PRINTED {
            let rest = odd.len() - PRINTED;
            text += &format!("and {rest} more like these\n");
        }
        if let Some(smallest) = &self.smallest {
            text += &self.smallest(smallest);
        }
        text + &self.counts()
    }

    fn counts(&self) -> String {
        let count = |wanted: fn(&Answers) -> bool| {
            let outcomes = self.trials.iter().map(|tried| &tried.outcome);
            outcomes.filter(|outcome| wanted(outcome)).count()
        };
        let differ = count(|o| o.difference().is_some());
        let compared = count(|o| matches!(o, Answers::Compared(_)));
        let mode = match self.mode {
            Mode::Live => "live",
            Mode::RustOnly => "rust-only: the engine against itself, which is no parity",
        };
        let milliseconds: u64 = self.trials.iter().map(|tried| tried.milliseconds).sum();
        format!(
            "{} against {} ({mode})\n\
             shapes {compared}/{} compared, {differ} differ; {} declined, {} without time, {} died \
             of; logits {} compared, {} differ; {:.1} s\nstatus: {}\n",
            self.ours,
            self.theirs,
            self.count,
            count(|o| matches!(o, Answers::Declined { .. })),
            count(|o| matches!(o, Answers::TimedOut { .. })),
            count(|o| matches!(o, Answers::ReferenceDied { .. })),
            self.logits,
            self.differing,
            milliseconds as f64 / 1000.0,
            self.status.name(),
        )
    }

    fn smallest(&self, smallest: &Smallest) -> String {
        let (shape, schedule) = (&smallest.shape, &smallest.schedule);
        let (number, questions) = (smallest.number, smallest.questions);
        let gave_up = if smallest.finished {
            ""
        } else {
            ", where it gave up"
        };
        let Difference { row, token, .. } = smallest.difference;
        let [theirs, ours] = [smallest.difference.theirs, smallest.difference.ours]
            .map(|bits| format!("{:e} (0x{bits:08x})", f32::from_bits(bits)));
        let apart = apart(smallest.difference.ulps);
        let first = smallest.node.as_ref().map_or(String::new(), |node| {
            let [theirs, ours] = [node.theirs, node.ours].map(f32::from_bits);
            let (key, element) = (escape(&node.key), node.element);
            format!("  first node {key}, element {element}: theirs {theirs:e}, ours {ours:e}\n")
        });
        format!(
            "smallest that differs, made from {number} by {questions} questions{gave_up}:\n\
             \x20 --shape '{shape}'\n\
             \x20 --schedule '{schedule}'\n\
             \x20 row {row}, logit {token}: theirs {theirs}, ours {ours}, {apart} ULP apart\n\
             {first}with these two flags the same command repeats it\n",
        )
    }
}

fn apart(ulps: Option<u64>) -> String {
    ulps.map_or("-".into(), |n| n.to_string())
}

/// A trial that did not simply agree.
fn line(tried: &Tried) -> Option<String> {
    let what = match &tried.outcome {
        Answers::Compared(Tally { differing: 0, .. }) => return None,
        Answers::Compared(tally) => {
            let ulps = apart(tally.first.and_then(|first| first.ulps));
            let (differing, logits) = (tally.differing, tally.logits);
            format!("DIFFERS in {differing} of {logits} logits, the first by {ulps} ULP")
        }
        Answers::Declined { why } => format!("DECLINED: {why}"),
        Answers::TimedOut { why } => format!("NO MORE TIME: {why}"),
        Answers::ReferenceDied { why } => format!("REFERENCE DIED: {why}"),
        Answers::EngineFailed { why, .. } => format!("THE ENGINE HAS NO ANSWER: {why}"),
    };
    let (number, shape) = (tried.number, &tried.shape);
    Some(format!("{number}: {}\n   {shape}\n", escape(&what)))
}

impl Coverage {
    /// A line for each dimension.
    fn render(&self, width: Option<usize>) -> String {
        let mut table = Table::new(&[words("dimension"), words("values and their trials")]);
        for rows in self.rows.chunk_by(|a, b| a.dimension == b.dimension) {
            let cells = rows.iter().map(|row| {
                let (value, trials) = (&row.value, row.trials);
                let short = if self.is_short(row) { " SHORT" } else { "" };
                if trials.is_complete() {
                    return format!("{value} {}{short}", trials.compared);
                }
                format!("{value} {trials}{short}")
            });
            let cells: Vec<String> = cells.collect();
            table.row([rows[0].dimension, &cells.join(" · ")]);
        }
        let compared = self.rows.iter().filter(|row| row.trials.compared > 0);
        let (reached, all) = (compared.count(), self.rows.len());
        let demand = if self.full {
            format!("at least {LEAST} shapes of each were demanded")
        } else {
            "too few shapes to demand all of them".into()
        };
        table.render(width)
            + &format!(
                "values {reached}/{all} covered, combinations of architecture, head dimension, \
                 group and head {}; {demand}\n",
                self.combinations
            )
    }
}
