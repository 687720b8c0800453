//! How every command that compares ends: its text, its JSON, one exit code.

use serde::Serialize;

use super::flags::Json;
use crate::exit::{Exit, Failure};
use crate::io::{look, output};
use crate::judge::outcome::Outcome;

/// Prints `text` unless JSON takes its place, or `--quiet` was typed and all is well; writes
/// `result` where `--json` says, and ends with what `outcome` ends with. A file that cannot be
/// written never hides what was found.
pub fn finish(
    outcome: Outcome,
    text: &str,
    result: &impl Serialize,
    json: &Json,
) -> Result<Exit, Failure> {
    let unwanted = look::is_quiet() && outcome.exit() == Exit::Agrees;
    let printed = if unwanted || json.takes_stdout() {
        Ok(())
    } else {
        output::print(text).map(drop)
    };
    let written = json.write(result);
    let failed = [printed, written].into_iter().filter_map(Result::err);
    let worst = failed.fold(outcome, |worst, failure| {
        output::tell(format!("error: {failure}"));
        worst.max(Outcome::Environment)
    });
    Ok(worst.exit())
}

/// What is said of one file: whether anything needs attention, and whether that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // the words that are printed
pub enum Status {
    Ok,
    Warning,
    Failed,
}

impl Status {
    /// What needs attention is a warning, and fails in strict mode.
    pub fn of(attention: bool, strict: bool) -> Self {
        match (attention, strict) {
            (false, _) => Status::Ok,
            (true, false) => Status::Warning,
            (true, true) => Status::Failed,
        }
    }

    /// As printed.
    pub fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Failed => "failed",
        }
    }

    /// What the command comes to.
    pub fn outcome(self) -> Outcome {
        match self {
            Status::Ok | Status::Warning => Outcome::Ok,
            Status::Failed => Outcome::Divergence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::destination::Destination;

    #[test]
    fn a_file_that_cannot_be_written_is_told_and_hides_no_divergence() {
        let json = Json::to(Destination::Path("missing/folder/x.json".into()));
        let ends = |outcome| finish(outcome, "", &(), &json).expect("it ends");
        assert_eq!(ends(Outcome::Ok), Exit::Environment);
        assert_eq!(ends(Outcome::Divergence), Exit::Diverges);
        let nothing = Json::default();
        assert_eq!(
            finish(Outcome::Ok, "", &(), &nothing).expect("it ends"),
            Exit::Agrees
        );
    }
}
