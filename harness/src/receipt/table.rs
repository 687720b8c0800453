//! A receipt as a person reads it. Pure: text out of data.

mod distances;
mod live;
pub mod pairs;
mod rows;
mod summary;

pub use self::distances::pooled as pooled_lines;
pub use self::summary::lines as summary;
use crate::case::ability::{self, Ability};
use crate::io::look;
use crate::receipt::explanation;
use crate::receipt::{CaseReceipt, Comparison, Failed, Receipt};

/// How much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// A line for each model and reference, and all there is to say about what does not agree.
    Pairs,
    /// A row for each lane of each comparison, and how the bits differ wherever they do.
    Lanes,
}

impl Detail {
    /// As `--verbose` has it.
    pub fn wanted() -> Self {
        if look::is_verbose() {
            Detail::Lanes
        } else {
            Detail::Pairs
        }
    }
}

/// Tables, what needs words, the counts, the status; `width` is that of the terminal.
pub fn render(receipt: &Receipt, detail: Detail, width: Option<usize>) -> String {
    let mut text = String::new();
    append_table(&mut text, &pairs::table(receipt), width);
    text.trim_end().to_owned() + "\n" + &below_pairs(receipt, detail, width)
}

/// The same without its first table, which a [`pairs::Stream`] has printed.
pub fn below_pairs(receipt: &Receipt, detail: Detail, width: Option<usize>) -> String {
    let all = detail == Detail::Lanes;
    let mut text = "\n".to_owned();
    let wanted = if all {
        append(&mut text, distances::circumstances(receipt));
        |_: &Receipt, _: &Comparison| true
    } else {
        rows::is_remarkable
    };
    append_table(&mut text, &rows::lanes(receipt, wanted), width);
    append_table(&mut text, &rows::distances(receipt, wanted), width);
    if all {
        append(&mut text, distances::tensors(receipt));
        append(&mut text, receipt.features.lines());
    }
    append(&mut text, subjects(receipt));
    for case in &receipt.cases {
        append(&mut text, notes(receipt, case));
    }
    append(&mut text, receipt.failures.iter().map(failed));
    append(&mut text, distances::pooled(receipt, all));
    append(&mut text, live::lines(receipt));
    append(&mut text, of_run(receipt));
    if text != "\n" {
        text += "\n";
    }
    text + &summary(receipt)
}

fn append(text: &mut String, lines: impl IntoIterator<Item = String>) {
    for line in lines {
        *text += &line;
        text.push('\n');
    }
}

fn append_table(text: &mut String, table: &crate::io::table::Table, width: Option<usize>) {
    if !table.is_empty() {
        *text += &table.render(width);
        text.push('\n');
    }
}

/// Whose logits were judged, where it was not the built-in engine's, and what it was not asked for.
fn subjects(receipt: &Receipt) -> Vec<String> {
    let engines = receipt.cases.iter().map(|case| &case.claims.engine);
    let foreign = engines.filter(|engine| engine.identity.brought().is_some());
    let mut lines: Vec<String> = Vec::new();
    for engine in foreign {
        let identity = &engine.identity;
        let print: String = identity.fingerprint.chars().take(24).collect();
        let mut line = format!("judged: {identity}, {print}");
        if !engine.lacking.is_empty() {
            let lacking = ability::words(&engine.lacking);
            line += &format!("; it lacks, and was not asked for: {lacking}");
        }
        if engine.lacking.contains(&Ability::Rows) {
            line += "; judged by its most likely tokens alone";
        }
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// What the comparisons of a case need in words.
fn notes(receipt: &Receipt, case: &CaseReceipt) -> Vec<String> {
    let claims = &case.claims;
    let lines = |(with, found)| explanation::lines(receipt, case, with, found);
    let mut notes: Vec<String> = case.pairs().flat_map(lines).collect();
    if claims.comparisons.is_empty() {
        notes.push(format!(
            "{}: no recording knows this model and prompt; the engine was compared with itself \
             only, which proves no agreement with a reference",
            claims.case
        ));
    }
    notes
}

fn failed(failed: &Failed) -> String {
    let Failed {
        case,
        status,
        message,
        ..
    } = failed;
    format!("{case}: {status}: {message}")
}

/// What is said of the run and of no case.
fn of_run(receipt: &Receipt) -> Vec<String> {
    let about = &receipt.circumstances;
    let left_out = about.left_out.iter();
    let left_out = left_out.map(|left| format!("{} was left out: {}", left.case, left.why));
    let stale = about.stale_entries.iter();
    let stale = stale
        .map(|entry| format!("{entry}: the entry for a known divergence excuses nothing any more"));
    let changed = about.changed_inputs.iter();
    let changed = changed
        .map(|path| format!("{path} changed while it was in use: nothing in this receipt counts"));
    left_out.chain(stale).chain(changed).collect()
}
