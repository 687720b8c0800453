//! Comparisons for people: a line for each model and library, and below what needs words.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use engine::refusal::escape;

use super::compared::{Compared, Coverage, Report};
use super::{Finding, Verdict};
use crate::io::table::{Table, number, words};

/// Everything, in so many columns.
pub fn render(report: &Report, width: Option<usize>) -> String {
    let mut table = Table::new(&[
        words("model"),
        words("compared with"),
        number("tensors"),
        number("values"),
        number("products"),
        number("bytes"),
        number("differ"),
        number("declined"),
        number("not compared"),
    ]);
    let mut text = String::new();
    let mut reasons = Reasons::default();
    for one in &report.compared {
        let coverage = one.coverage();
        let words = [escape(&one.model), library(one)];
        table.row(words.into_iter().chain(numbers(&coverage)));
        for finding in &one.findings {
            text.extend(finding.parts().iter().filter_map(|(part, verdict)| {
                reasons.note(one, finding, part, verdict);
                difference(one, finding, part, verdict)
            }));
        }
        if let Some(lost) = &one.lost {
            let (model, library, why) = (escape(&one.model), library(one), &lost.why);
            let count = coverage.not_reached;
            text +=
                &format!("  LOST: {model} with {library}: {count} tensors not reached: {why}\n");
        }
    }
    table.render(width) + &text + &reasons.render() + &summary(report)
}

fn library(one: &Compared) -> String {
    if one.library.is_empty() {
        return "nothing".into();
    }
    let record = if one.live { "" } else { "record of " };
    format!("{record}{} ({})", one.library, one.profile)
}

fn numbers(coverage: &Coverage) -> [String; 7] {
    let numbers = [
        coverage.tensors,
        coverage.values,
        coverage.products,
        coverage.encoded,
        coverage.differ,
        coverage.declined,
        coverage.not_compared + coverage.not_reached,
    ];
    numbers.map(|number| number.to_string())
}

fn difference(one: &Compared, found: &Finding, part: &str, verdict: &Verdict) -> Option<String> {
    let Verdict::Different(why) = verdict else {
        return None;
    };
    let judged = if one.judges(part) {
        "DIFFERS"
    } else {
        "differs, not judged"
    };
    let (model, tensor, encoding) = (escape(&one.model), escape(&found.tensor), &found.encoding);
    let library = library(one);
    Some(format!(
        "  {judged}: {part} of {tensor} ({encoding}) of {model} with {library}: {why}\n"
    ))
}

/// What was declined or not compared: how many tensors for each reason, and the first of them.
#[derive(Default)]
struct Reasons(BTreeMap<(&'static str, String, String, String), (usize, String)>);

impl Reasons {
    fn note(&mut self, one: &Compared, finding: &Finding, part: &str, verdict: &Verdict) {
        let (word, why) = match verdict {
            Verdict::Declined(why) => ("declined", why),
            Verdict::NotCompared(why) => ("NOT COMPARED", why),
            _ => return,
        };
        let key = (word, part.to_owned(), library(one), why.clone());
        let first = || format!("{} of {}", escape(&finding.tensor), escape(&one.model));
        self.0.entry(key).or_insert_with(|| (0, first())).0 += 1;
    }

    fn render(&self) -> String {
        let lines = self
            .0
            .iter()
            .map(|((word, part, library, why), (count, first))| {
                let tensors = if *count == 1 { "tensor" } else { "tensors" };
                format!(
                    "  {word}: {part} of {count} {tensors} with {library}, first {first}: {why}\n"
                )
            });
        lines.collect()
    }
}

fn summary(report: &Report) -> String {
    let Coverage {
        tensors,
        values,
        products,
        encoded,
        differ,
        declined,
        not_compared,
        not_reached,
    } = report.coverage;
    format!(
        "{tensors} tensors; equal are {values} decoded, {products} products, {encoded} encoded \
         again; {differ} differ; {declined} declined, {not_compared} not compared, {not_reached} \
         not reached\n"
    )
}
