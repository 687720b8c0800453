//! A comparison for people: a row for each vocabulary and side, and what differs below it.
#![forbid(unsafe_code)]

use std::fmt::Write as _;

use super::Finding;
use super::examine::Report;
use super::excuse::{self, Excuse};
use crate::case::observation::spelling::{Raw, Said};

/// Ids shown around the first difference.
const SHOWN: usize = 12;

/// The columns of numbers.
const COLUMNS: [&str; 8] = [
    "tokens",
    "texts",
    "lists",
    "answers",
    "equal",
    "refused",
    "excused",
    "different",
];

/// What the columns are.
pub fn head() -> String {
    row("vocabulary", "reference", COLUMNS.map(str::to_owned))
}

/// One comparison.
pub fn line(vocabulary: &str, reference: &str, report: &Report) -> String {
    let tally = &report.answers;
    let numbers = [
        report.vocabulary.equal as u64,
        tally.texts,
        tally.lists,
        tally.answers(),
        tally.equal,
        tally.refused,
        tally.excused.values().sum(),
        tally.different,
    ];
    row(vocabulary, reference, numbers.map(|n| n.to_string()))
}

fn row(vocabulary: &str, reference: &str, numbers: [String; COLUMNS.len()]) -> String {
    let mut line = format!("{vocabulary:<26} {reference:<15}");
    for number in numbers {
        write!(line, " {number:>9}").expect("memory");
    }
    line + "\n"
}

/// What differs, and how to see it again: `command` is what asks the same two sides.
pub fn details(report: &Report, command: &str) -> String {
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
    for found in &report.answers.findings {
        text += &finding(found, command);
    }
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
fn answer(said: &Said, place: usize) -> String {
    let window = |length: usize| {
        let start = place.saturating_sub(SHOWN / 2).min(length);
        start..length.min(start + SHOWN)
    };
    let cut = |start: usize, end: usize, length: usize, middle: String| {
        let before = if start > 0 { "… " } else { "" };
        let behind = if end < length { " …" } else { "" };
        format!("{before}{middle}{behind} ({length} in all)")
    };
    match said {
        Said::Ids(ids) => {
            let window = window(ids.len());
            let middle = format!("{:?}", &ids[window.clone()]);
            cut(window.start, window.end, ids.len(), middle)
        }
        Said::Bytes(Raw(bytes)) => {
            let window = window(bytes.len());
            let middle = format!("'{}'", Raw(bytes[window.clone()].to_vec()));
            cut(window.start, window.end, bytes.len(), middle)
        }
        Said::Refused(why) => format!("refused: {}", engine::refusal::escape(why)),
        Said::Died(how) => format!("died: {}", engine::refusal::escape(how)),
    }
}

/// What the excuses stand for.
pub fn excuses(reports: &[&Report]) -> String {
    let mut text = String::new();
    for Excuse { name, reason, .. } in excuse::KNOWN {
        let answers = reports.iter().filter_map(|r| r.answers.excused.get(name));
        let tokens = reports
            .iter()
            .filter_map(|r| r.vocabulary.excused.get(name));
        let counts = [answers.sum::<u64>(), tokens.sum::<usize>() as u64];
        let counted = counts
            .iter()
            .zip(["answers", "tokens"])
            .filter(|(count, _)| **count > 0);
        let counted: Vec<String> = counted
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if !counted.is_empty() {
            text += &format!("excused {} ({name}): {reason}\n", counted.join(" and "));
        }
    }
    text
}
