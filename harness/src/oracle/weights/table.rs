//! Comparisons for people: a line for each model and library, and below what needs words.

use std::collections::BTreeMap;

use engine::refusal::escape;

use super::compared::{Compared, Coverage, Report};
use super::{Finding, Verdict};
use crate::io::table::{Table, number, words};

/// Everything, in so many columns.
pub fn render(report: &Report, width: Option<usize>) -> String {
    let counted = report.compared.iter().map(|one| (one, one.coverage()));
    let counted: Vec<(&Compared, Coverage)> = counted.collect();
    let table = Table::of(
        &counted,
        &[
            (words("model"), |(one, _)| escape(&one.model)),
            (words("compared with"), |(one, _)| library(one)),
            (number("tensors"), |(_, c)| c.tensors.to_string()),
            (number("values"), |(_, c)| c.values.to_string()),
            (number("products"), |(_, c)| c.products.to_string()),
            (number("bytes"), |(_, c)| c.encoded.to_string()),
            (number("differ"), |(_, c)| c.differ.to_string()),
            (number("declined"), |(_, c)| c.declined.to_string()),
            (number("not compared"), |(_, c)| {
                (c.not_compared + c.not_reached).to_string()
            }),
        ],
    );
    let mut text = String::new();
    let mut reasons = Reasons::default();
    for (one, coverage) in &counted {
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
        let lines = self.0.iter().map(|(reason, (count, first))| {
            let (word, part, library, why) = reason;
            let tensors = if *count == 1 { "tensor" } else { "tensors" };
            format!("  {word}: {part} of {count} {tensors} with {library}, first {first}: {why}\n")
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
