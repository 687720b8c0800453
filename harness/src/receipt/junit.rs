//! A receipt as JUnit XML, one test case for each comparison. Pure: text out of data.
#![forbid(unsafe_code)]

use std::fmt::Write as _;

use crate::exit::Exit;
use crate::judge::outcome::Outcome;
use crate::judge::verdict::Verdict;
use crate::receipt::{CaseReceipt, Comparison, Receipt, explanation, table};

/// The whole document. A run that does not end with 0 has a failure or an error in it.
pub fn render(receipt: &Receipt) -> String {
    let mut suite = Suite::default();
    for case in &receipt.cases {
        suite.case(receipt, case);
    }
    for failed in &receipt.failures {
        let end = Ending::Broken(format!("{}: {}", failed.status, failed.message));
        suite.add(&failed.case, "engine", 0.0, &end, "");
    }
    let about = &receipt.circumstances;
    for left in &about.left_out {
        suite.add(
            &left.case,
            "left out",
            0.0,
            &Ending::Skipped(left.why.clone()),
            "",
        );
    }
    for pooled in receipt.pooled.iter().filter(|pooled| pooled.judged) {
        let name = format!("{} {}", pooled.reference, pooled.lane.name());
        let end = pooled.broken.clone().map_or(Ending::Passed, Ending::Failed);
        suite.add("all documents", &name, 0.0, &end, "");
    }
    for path in &about.changed_inputs {
        let end = Ending::Broken(format!("{path} changed while it was in use"));
        suite.add("inputs", path, 0.0, &end, "");
    }
    let status = receipt.parity.status;
    if status.exit() != Exit::Agrees && suite.failures + suite.errors == 0 {
        let why = format!("{status}: what was declared was not all compared and judged");
        let body = table::summary(receipt);
        suite.add("run", "status", 0.0, &Ending::Failed(why), &body);
    }
    let Suite {
        body,
        tests,
        failures,
        errors,
        skipped,
    } = suite;
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites>\n<testsuite name=\"crossval\" tests=\"{tests}\" failures=\"{failures}\" \
         errors=\"{errors}\" skipped=\"{skipped}\" time=\"{:.3}\">\n\
         <properties><property name=\"status\" value=\"{status}\"/></properties>\n\
         {body}</testsuite>\n</testsuites>\n",
        about.seconds,
    )
}

enum Ending {
    Passed,
    Skipped(String),
    Failed(String),
    Broken(String),
}

impl Ending {
    fn of(comparison: &Comparison) -> Self {
        let words = comparison.verdict.to_string();
        match (&comparison.verdict, comparison.verdict.outcome()) {
            (Verdict::Agree, _) => Ending::Passed,
            (Verdict::NotJudged, _) => {
                let profile = &comparison.reference.profile;
                Ending::Skipped(format!("{words}: the arithmetic is {profile}"))
            }
            (Verdict::Unsteady { .. }, _) => Ending::Broken(words),
            // Who was expected to answer leaves a gap by declining.
            (Verdict::Declined { .. }, _) if !comparison.is_declined() => Ending::Failed(words),
            (_, Outcome::Ok) => Ending::Skipped(words),
            (Verdict::Incomplete { .. }, _) | (_, Outcome::Divergence) => Ending::Failed(words),
            _ => Ending::Broken(words),
        }
    }
}

/// The test cases so far.
#[derive(Default)]
struct Suite {
    body: String,
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

impl Suite {
    fn case(&mut self, receipt: &Receipt, case: &CaseReceipt) {
        let claims = &case.claims;
        let comparisons = claims.comparisons.iter().chain(&claims.repetitions);
        let share = case.seconds / case.measured.len().max(1) as f64;
        for (comparison, measured) in comparisons.zip(&case.measured) {
            let name = &comparison.reference.name;
            let lines = explanation::lines(receipt, case, comparison, measured.findings.as_ref());
            let end = Ending::of(comparison);
            self.add(&claims.case, name, share, &end, &lines.join("\n"));
        }
        if claims.comparisons.is_empty() {
            let why = "there was no reference to compare with";
            let end = if claims.unrecorded {
                Ending::Skipped(why.into())
            } else {
                Ending::Failed(format!("incomplete: {why}"))
            };
            self.add(&claims.case, "coverage", 0.0, &end, "");
        }
    }

    fn add(&mut self, class: &str, name: &str, seconds: f64, end: &Ending, body: &str) {
        self.tests += 1;
        let (element, why) = match end {
            Ending::Passed => ("", ""),
            Ending::Skipped(why) => ("skipped", &why[..]),
            Ending::Failed(why) => ("failure", &why[..]),
            Ending::Broken(why) => ("error", &why[..]),
        };
        self.skipped += usize::from(element == "skipped");
        self.failures += usize::from(element == "failure");
        self.errors += usize::from(element == "error");
        let (class, name, why, body) = (escape(class), escape(name), escape(why), escape(body));
        let inside = match element {
            "" => String::new(),
            "skipped" => format!("<skipped message=\"{why}\"/>"),
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
