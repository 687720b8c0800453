//! Comparisons for people: a line for each vocabulary, and below what differs, is excused or was
//! not compared.

use engine::refusal::escape;

use super::Finding;
use super::examine::Report;
use super::row::{Ending, Row, Summary, without_vocabulary};
use crate::case::observation::tokenization::{EscapedBytes, TokenizerReply};
use crate::io::table::{Cell, Column, Table, number, words};
use crate::judge::excuse::Excused;

/// Ids shown around the first difference.
const SHOWN: usize = 12;

/// Everything, reference after reference, in so many columns.
pub fn render(summary: &Summary, width: Option<usize>) -> String {
    let mut names: Vec<&str> = Vec::new();
    for row in &summary.rows {
        if !names.contains(&&row.reference[..]) {
            names.push(&row.reference);
        }
    }
    let mut text = String::new();
    for name in names {
        let rows = summary.rows.iter().filter(|row| row.reference == name);
        let rows: Vec<&Row> = rows.collect();
        if !name.is_empty() {
            text += &format!("{name}\n{}", vocabularies(&rows).render(width));
        }
        let details = |row: &&Row| Some(details(row.report()?, &row.again));
        text.extend(rows.iter().filter_map(details));
        let others = not_compared(&rows);
        if !others.is_empty() {
            text += &others.render(width);
        }
        text.push('\n');
    }
    for name in without_vocabulary(&summary.rows) {
        text += &format!("{name} knew no vocabulary: the lines above say why\n");
    }
    if summary.absent > 0 {
        let (absent, script) = (summary.absent, "scripts/fetch-tokenizer-suite.sh");
        text += &format!("skipped {absent} vocabularies that {script} would fetch\n");
    }
    text + &closing(&summary.rows, width)
}

fn vocabularies(rows: &[&Row]) -> Table {
    let compared = rows
        .iter()
        .filter_map(|row| Some((&row.model[..], row.report()?)));
    let compared: Vec<(&str, &Report)> = compared.collect();
    let mut columns: Vec<(Column, Cell<(&str, &Report)>)> = vec![
        (words("vocabulary"), |(name, _)| escape(name)),
        (number("tokens"), |(_, r)| r.vocabulary.equal.to_string()),
        (number("questions"), |(_, r)| {
            (r.answers.texts + r.answers.lists).to_string()
        }),
        (number("answers"), |(_, r)| r.answers.answers().to_string()),
        (number("equal"), |(_, r)| r.answers.equal.to_string()),
        (number("refused"), |(_, r)| r.answers.refused.to_string()),
        (number("excused"), |(_, r)| {
            r.answers.excused.total().to_string()
        }),
        (number("differ"), |(_, r)| r.answers.different.to_string()),
    ];
    if compared.iter().any(|(_, r)| r.answers.not_asked > 0) {
        columns.push((number("not asked"), |(_, r)| {
            r.answers.not_asked.to_string()
        }));
    }
    Table::of(&compared, &columns)
}

/// Vocabularies that were not compared, or not to their end, and why.
fn not_compared(rows: &[&Row]) -> Table {
    let mut table = Table::new(&[words("vocabulary"), words("why not")]);
    for row in rows {
        let why = match &row.ending {
            Ending::Skipped { why, .. } => format!("skipped: {}", why.lines().next().unwrap_or("")),
            Ending::Lost(lost) => format!("LOST: {}", lost.why),
            Ending::Compared(report) => match &report.lost {
                Some(lost) => format!("LOST before its end: {}", lost.why),
                None => continue,
            },
        };
        table.row([escape(&row.model), escape(&why)]);
    }
    table
}

/// What differs, and how to see it again: `command` is what asks the same two sides.
fn details(report: &Report, command: &str) -> String {
    let mut text = String::new();
    let vocabulary = &report.vocabulary;
    for difference in &vocabulary.differences {
        text += &format!("  vocabulary: {difference}\n");
    }
    if vocabulary.different > 0 {
        text += &format!("  vocabulary: {} tokens differ\n", vocabulary.different);
    }
    if let Some(question) = &report.unsteady {
        let question = question.argument();
        text += &format!("  the reference answers differently when asked again: {question}\n");
    }
    let findings = report.answers.findings.iter();
    text.extend(findings.map(|found| finding(found, command)));
    text
}

fn finding(found: &Finding, command: &str) -> String {
    let Finding { argument, way, .. } = found;
    let first = found.first_difference();
    let place = first.map_or(String::new(), |at| format!(", first at {at}"));
    let (length, before) = (found.question.len(), found.found_in);
    let [ours, theirs] = [&found.ours, &found.theirs].map(|said| answer(said, first.unwrap_or(0)));
    format!(
        "  {argument}  ({way}; {length} of {before} left{place})\n    engine     {ours}\n    \
         reference  {theirs}\n    again      {command} {argument}\n"
    )
}

/// An answer, from a little before the place that matters.
fn answer(said: &TokenizerReply, place: usize) -> String {
    let length = said.len();
    let start = place.saturating_sub(SHOWN / 2).min(length);
    let end = length.min(start + SHOWN);
    let shown = match said {
        TokenizerReply::Ids(ids) => format!("{:?}", &ids[start..end]),
        TokenizerReply::Bytes(EscapedBytes(bytes)) => {
            format!("'{}'", EscapedBytes(bytes[start..end].to_vec()))
        }
        TokenizerReply::Refused(why) => return format!("refused: {}", escape(why)),
        TokenizerReply::Died(how) => return format!("died: {}", escape(how)),
        TokenizerReply::NotAsked => return "not asked".into(),
    };
    let before = if start > 0 { "… " } else { "" };
    let behind = if end < length { " …" } else { "" };
    format!("{before}{shown}{behind} ({length} in all)")
}

/// What is said at the end: one count for each excuse, and the sums.
fn closing(rows: &[Row], width: Option<usize>) -> String {
    let mut excused = Excused::default();
    let mut reports = Vec::new();
    for (row, report) in rows.iter().filter_map(|row| Some((row, row.report()?))) {
        excused.extend(&report.answers.excused, &row.again);
        excused.extend(&report.vocabulary.excused, &row.again);
        reports.push(report);
    }
    let sum = |of: fn(&Report) -> u64| reports.iter().map(|report| of(report)).sum::<u64>();
    format!(
        "{}{} comparisons, {} ids and bytes in {} answers, {} differ; {} skipped\n",
        excused.render(width),
        reports.len(),
        sum(|report| report.answers.items),
        sum(|report| report.answers.answers()),
        sum(|report| report.answers.different),
        rows.len() - reports.len(),
    )
}
