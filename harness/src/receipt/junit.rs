//! A receipt as JUnit XML, one test case for each comparison. Pure: text out of data.

use std::fmt::Write as _;

use crate::exit::Exit;
use crate::judge::outcome::Outcome;
use crate::judge::verdict::Verdict;
use crate::receipt::{CaseReceipt, Comparison, Receipt, explanation, table};

/// The whole document. A run that does not end with 0 has a failure or an error in it.
pub fn render(receipt: &Receipt) -> String {
    let about = &receipt.circumstances;
    let mut suite = Suite::default();
    for case in &receipt.cases {
        suite.case(receipt, case);
    }
    for failed in &receipt.failures {
        let end = (BROKEN, format!("{}: {}", failed.status, failed.message));
        suite.add((&failed.case, "engine"), 0.0, end, "");
    }
    for left in &about.left_out {
        suite.add(
            (&left.case, "left out"),
            0.0,
            (SKIPPED, left.why.clone()),
            "",
        );
    }
    for pooled in receipt.pooled.iter().filter(|pooled| pooled.judged) {
        let name = format!("{} {}", pooled.reference, pooled.lane.name());
        let broken = pooled.broken.clone().map(|rule| (FAILED, rule));
        suite.add(
            ("all documents", &name),
            0.0,
            broken.unwrap_or_default(),
            "",
        );
    }
    for path in &about.changed_inputs {
        let end = (BROKEN, format!("{path} changed while it was in use"));
        suite.add(("inputs", path), 0.0, end, "");
    }
    let status = receipt.parity.status;
    if status.exit() != Exit::Agrees && suite.count(FAILED) + suite.count(BROKEN) == 0 {
        let why = format!("{status}: what was declared was not all compared and judged");
        suite.add(
            ("run", "status"),
            0.0,
            (FAILED, why),
            &table::summary(receipt),
        );
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites>\n<testsuite name=\"crossval\" tests=\"{}\" failures=\"{}\" \
         errors=\"{}\" skipped=\"{}\" time=\"{:.3}\">\n\
         <properties><property name=\"status\" value=\"{status}\"/></properties>\n\
         {}</testsuite>\n</testsuites>\n",
        suite.ends.len(),
        suite.count(FAILED),
        suite.count(BROKEN),
        suite.count(SKIPPED),
        about.seconds,
        suite.body,
    )
}

/// How a test case ends: the element inside it, none if it passed, and why.
type Ending = (&'static str, String);

const SKIPPED: &str = "skipped";
const FAILED: &str = "failure";
const BROKEN: &str = "error";

fn ending(comparison: &Comparison) -> Ending {
    let words = comparison.verdict.to_string();
    match (&comparison.verdict, comparison.verdict.outcome()) {
        (Verdict::Agree, _) => Ending::default(),
        (Verdict::NotJudged, _) => {
            let profile = &comparison.reference.profile;
            (SKIPPED, format!("{words}: the arithmetic is {profile}"))
        }
        (Verdict::Unsteady { .. }, _) => (BROKEN, words),
        // Who was expected to answer leaves a gap by declining.
        (Verdict::Declined { .. }, _) if !comparison.is_declined() => (FAILED, words),
        (_, Outcome::Ok) => (SKIPPED, words),
        (Verdict::Incomplete { .. }, _) | (_, Outcome::Divergence) => (FAILED, words),
        _ => (BROKEN, words),
    }
}

/// The test cases so far, and the element of each.
#[derive(Default)]
struct Suite {
    body: String,
    ends: Vec<&'static str>,
}

impl Suite {
    fn count(&self, element: &str) -> usize {
        self.ends.iter().filter(|end| **end == element).count()
    }

    fn case(&mut self, receipt: &Receipt, case: &CaseReceipt) {
        let claims = &case.claims;
        let share = case.seconds / case.measured.len().max(1) as f64;
        let all = claims.comparisons.len() + claims.repetitions.len();
        for (comparison, found) in case.pairs().take(all) {
            let lines = match explanation::lines(receipt, case, comparison, found) {
                lines if lines.is_empty() => explanation::lanes(receipt, comparison, found),
                lines => lines,
            };
            let lines = lines.join("\n");
            let name = (&claims.case[..], &comparison.reference.name[..]);
            self.add(name, share, ending(comparison), &lines);
        }
        if claims.comparisons.is_empty() {
            let why = "there was no reference to compare with";
            let end = if claims.unrecorded {
                (SKIPPED, why.into())
            } else {
                (FAILED, format!("incomplete: {why}"))
            };
            self.add((&claims.case, "coverage"), 0.0, end, "");
        }
    }

    fn add(&mut self, name: (&str, &str), seconds: f64, (element, why): Ending, body: &str) {
        self.ends.push(element);
        let (class, name) = (escape(name.0), escape(name.1));
        let (why, body) = (escape(&why), escape(body));
        let said = match &body[..] {
            "" => String::new(),
            body => format!("<system-out>{body}</system-out>"),
        };
        let inside = match element {
            "" => said,
            SKIPPED => format!("<skipped message=\"{why}\"/>{said}"),
            _ => format!("<{element} message=\"{why}\">{body}</{element}>"),
        };
        let _ = writeln!(
            self.body,
            "<testcase classname=\"{class}\" name=\"{name}\" time=\"{seconds:.3}\">{inside}\
             </testcase>"
        );
    }
}

/// Text as it may stand in an attribute. Characters XML has no way to write become U+FFFD.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\n' => escaped += "&#10;",
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #[test]
    fn text_cannot_leave_its_attribute() {
        let escaped = super::escape("a\"><b>&\u{1b}\n");
        assert_eq!(escaped, "a&quot;&gt;&lt;b&gt;&amp;\u{fffd}&#10;");
    }
}
