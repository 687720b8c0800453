//! A receipt in the forms that other programs show: Markdown, CSV, a badge, annotations. Pure:
//! text out of data.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::exit::Exit;
use crate::judge::outcome::Outcome;
use crate::receipt::table::pairs;
use crate::receipt::{CaseReceipt, Comparison, Receipt, comparisons, explanation, table};

/// What GitHub shows below a job: the status, a row for each model and reference, and what does
/// not agree in full.
pub fn markdown(receipt: &Receipt) -> String {
    let status = receipt.parity.status;
    let mark = if status.exit() == Exit::Agrees {
        "✅"
    } else {
        "❌"
    };
    let mut text = format!("## {mark} Parity: {}, {status}\n\n", message(receipt));
    text += &pairs::table(receipt).markdown();
    for (case, comparison, lines) in remarkable(receipt) {
        let name = format!("{} with {}", case.claims.case, comparison.reference.name);
        let word = comparison.verdict.word();
        let lines = lines.join("\n").replace("```", "'''");
        let _ = write!(
            text,
            "\n<details open><summary><b>{}</b>: {word}</summary>\n\n```text\n{lines}\n```\n\n\
             </details>\n",
            html(&name),
        );
    }
    for failed in &receipt.failures {
        let message = failed.message.replace('\n', " ");
        let _ = writeln!(
            text,
            "\n- **{}**: {}: {}",
            failed.case,
            failed.status,
            html(&message)
        );
    }
    let summary = table::summary(receipt);
    let _ = write!(text, "\n```text\n{summary}```\n");
    text
}

/// A line for each comparison, under a heading.
pub fn csv(receipt: &Receipt) -> String {
    let mut text = "case,model,architecture,reference,live,profile,verdict,tier,logits,\
                    logits_bit_equal,max_nmse,max_kl_nats,seconds\n"
        .to_owned();
    for case in &receipt.cases {
        let claims = &case.claims;
        for (comparison, found) in case.compared() {
            let [all, equal] = found.map_or([0, 0], |found| found.logits());
            let positions = || {
                found
                    .iter()
                    .flat_map(|f| &f.lanes)
                    .flat_map(|lane| &lane.positions)
            };
            let most = |values: &mut dyn Iterator<Item = Option<f64>>| {
                let most = values.flatten().reduce(f64::max);
                most.map_or(String::new(), |most| format!("{most:e}"))
            };
            let cells = [
                claims.case.clone(),
                claims.model.file.clone(),
                claims.model.architecture.clone(),
                comparison.reference.name.clone(),
                comparison.live.to_string(),
                comparison.profile.clone(),
                comparison.verdict.word().to_owned(),
                comparison.tolerance.name().to_owned(),
                all.to_string(),
                equal.to_string(),
                most(&mut positions().map(|p| p.distance.nmse)),
                most(&mut positions().map(|p| p.kl)),
                format!("{:.3}", case.seconds),
            ];
            let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
            text += &(cells.join(",") + "\n");
        }
    }
    text
}

/// As shields.io asks for it.
pub fn badge(receipt: &Receipt) -> Value {
    json!({
        "schemaVersion": 1,
        "label": LABEL,
        "message": message(receipt),
        "color": colour(receipt),
        "isError": receipt.parity.status.exit() != Exit::Agrees,
    })
}

/// The same drawn, for a page that asks nobody.
pub fn badge_svg(receipt: &Receipt) -> String {
    // What a letter of 11 pixels takes, generously.
    let width = |text: &str| text.chars().count() * 7 + 12;
    let message = message(receipt);
    let (left, right) = (width(LABEL), width(&message));
    let all = left + right;
    let (colour, message) = (colour(receipt), html(&message));
    let text = |x: usize, words: &str| format!("<text x=\"{x}\" y=\"14\">{words}</text>");
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{all}\" height=\"20\" role=\"img\" \
         aria-label=\"{LABEL}: {message}\"><title>{LABEL}: {message}</title>\
         <rect width=\"{all}\" height=\"20\" rx=\"3\" fill=\"#555\"/>\
         <rect x=\"{left}\" width=\"{right}\" height=\"20\" rx=\"3\" fill=\"{colour}\"/>\
         <g fill=\"#fff\" text-anchor=\"middle\" font-family=\"Verdana,sans-serif\" \
         font-size=\"11\">{}{}</g></svg>\n",
        text(left / 2, LABEL),
        text(left + right / 2, &message),
    )
}

/// Workflow commands that put what does not agree where a pull request is looked at.
pub fn annotations(receipt: &Receipt) -> Vec<String> {
    let of_value = |text: &str| {
        let text = text.replace('%', "%25").replace('\r', "%0D");
        text.replace('\n', "%0A")
    };
    let of_title = |text: &str| of_value(text).replace(':', "%3A").replace(',', "%2C");
    let error =
        |title: &str, body: &str| format!("::error title={}::{}", of_title(title), of_value(body));
    let mut lines: Vec<String> = remarkable(receipt)
        .map(|(case, comparison, lines)| {
            let (name, with) = (&case.claims.case, &comparison.reference.name);
            error(&format!("{name} with {with}"), &lines.join("\n"))
        })
        .collect();
    let failures = receipt.failures.iter();
    lines.extend(failures.map(|failed| error(&failed.case, &failed.message)));
    let status = receipt.parity.status;
    if lines.is_empty() && status.exit() != Exit::Agrees {
        lines.push(error(
            &format!("parity: {status}"),
            &table::summary(receipt),
        ));
    }
    lines
}

const LABEL: &str = "parity";

fn message(receipt: &Receipt) -> String {
    let all: Vec<&Comparison> = comparisons(&receipt.cases)
        .filter(|c| !c.is_declined())
        .collect();
    let agree = all.iter().filter(|c| receipt.agrees(c)).count();
    let identical = all.iter().filter(|c| c.logits_bit_identical).count();
    let words = if identical == agree {
        "bit-identical"
    } else {
        "agree"
    };
    format!("{agree} of {} {words}", all.len())
}

fn colour(receipt: &Receipt) -> &'static str {
    match receipt.parity.status {
        Outcome::Ok | Outcome::RustOnly => "#2a7d2e",
        Outcome::Incomplete | Outcome::ReferenceMissing | Outcome::ReferenceDied => "#9a6700",
        _ => "#c62828",
    }
}

/// What does not agree, each with its lines.
fn remarkable(receipt: &Receipt) -> impl Iterator<Item = (&CaseReceipt, &Comparison, Vec<String>)> {
    receipt.cases.iter().flat_map(move |case| {
        let pairs = case
            .pairs()
            .filter(|(c, _)| !receipt.agrees(c) && !c.is_declined());
        pairs.filter_map(move |(comparison, found)| {
            let lines = explanation::lines(receipt, case, comparison, found);
            (!lines.is_empty()).then_some((case, comparison, lines))
        })
    })
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// A cell of CSV; one that a spreadsheet would compute is text.
fn quoted(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '@', '\t', '\r'])
        || (cell.starts_with('-') && cell.parse::<f64>().is_err() && cell != "-");
    let cell = if formula {
        format!("'{cell}")
    } else {
        cell.to_owned()
    };
    if cell.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", cell.replace('"', "\"\""));
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_leaves_its_place() {
        assert_eq!(quoted("plain"), "plain");
        assert_eq!(quoted("a,\"b\"\n"), "\"a,\"\"b\"\"\n\"");
        assert_eq!(quoted("=1+1"), "'=1+1");
        assert_eq!(quoted("-1.5"), "-1.5");
    }
}
