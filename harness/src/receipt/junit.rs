//! A receipt as JUnit XML, one test case for each comparison. Pure: text out of data.
#![forbid(unsafe_code)]

use std::fmt::Write as _;

use crate::judge::verdict::Verdict;
use crate::receipt::{Comparison, Receipt};

/// The whole document.
pub fn render(receipt: &Receipt) -> String {
    let mut body = String::new();
    let (mut tests, mut failures, mut errors, mut skipped) = (0, 0, 0, 0);
    for case in &receipt.cases {
        let claims = &case.claims;
        let comparisons = claims.comparisons.iter().chain(&claims.repetitions);
        let share = case.seconds / case.measured.len().max(1) as f64;
        for comparison in comparisons {
            let end = ending(comparison);
            tests += 1;
            match end {
                Ending::Passed => {}
                Ending::Skipped(_) => skipped += 1,
                Ending::Failed(_) => failures += 1,
                Ending::Broken(_) => errors += 1,
            }
            let name = &comparison.reference.name;
            write_case(&mut body, &claims.case, name, share, &end);
        }
        if claims.comparisons.is_empty() {
            tests += 1;
            failures += 1;
            let why = Ending::Failed("incomplete: there was nothing to compare with".into());
            write_case(&mut body, &claims.case, "coverage", 0.0, &why);
        }
    }
    for failed in &receipt.failures {
        tests += 1;
        errors += 1;
        let end = Ending::Broken(format!("{}: {}", failed.status, failed.message));
        write_case(&mut body, &failed.case, "engine", 0.0, &end);
    }
    for left in &receipt.circumstances.left_out {
        tests += 1;
        skipped += 1;
        let by = left.answered_by.join(", ");
        let end = Ending::Skipped(format!("answered live alone, by {by}"));
        write_case(&mut body, &left.case, "left out", 0.0, &end);
    }
    for pooled in receipt.pooled.iter().filter(|pooled| pooled.judged) {
        tests += 1;
        failures += usize::from(pooled.broken.is_some());
        let broken = pooled.broken.clone().map(Ending::Failed);
        let name = format!("{} {}", pooled.reference, pooled.lane.name());
        let end = broken.unwrap_or(Ending::Passed);
        write_case(&mut body, "all documents", &name, 0.0, &end);
    }
    for path in &receipt.circumstances.changed_inputs {
        tests += 1;
        errors += 1;
        let end = Ending::Broken(format!("{path} changed while it was in use"));
        write_case(&mut body, "inputs", path, 0.0, &end);
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites>\n<testsuite name=\"crossval\" tests=\"{tests}\" failures=\"{failures}\" \
         errors=\"{errors}\" skipped=\"{skipped}\" time=\"{:.3}\">\n\
         <properties><property name=\"status\" value=\"{}\"/></properties>\n\
         {body}</testsuite>\n</testsuites>\n",
        receipt.circumstances.seconds, receipt.parity.status,
    )
}

enum Ending {
    Passed,
    Skipped(String),
    Failed(String),
    Broken(String),
}

fn ending(comparison: &Comparison) -> Ending {
    let words = comparison.verdict.to_string();
    match comparison.verdict {
        Verdict::Agree => Ending::Passed,
        Verdict::Known { .. } => Ending::Skipped(words),
        Verdict::NotJudged => {
            let profile = &comparison.reference.profile;
            Ending::Skipped(format!("{words}: the arithmetic is {profile}"))
        }
        Verdict::Diverge { .. } | Verdict::Incomplete { .. } => Ending::Failed(words),
        Verdict::Declined { .. } => Ending::Skipped(words),
        Verdict::Incomparable { .. }
        | Verdict::Unsteady { .. }
        | Verdict::TimedOut { .. }
        | Verdict::ReferenceDied { .. } => Ending::Broken(words),
    }
}

fn write_case(body: &mut String, class: &str, name: &str, seconds: f64, end: &Ending) {
    let (class, name) = (escape(class), escape(name));
    let element = match end {
        Ending::Passed => String::new(),
        Ending::Skipped(why) => format!("<skipped message=\"{}\"/>", escape(why)),
        Ending::Failed(why) => format!("<failure message=\"{}\"/>", escape(why)),
        Ending::Broken(why) => format!("<error message=\"{}\"/>", escape(why)),
    };
    let _ = writeln!(
        body,
        "<testcase classname=\"{class}\" name=\"{name}\" time=\"{seconds:.3}\">{element}</testcase>"
    );
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
