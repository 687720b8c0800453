//! What `trace` and `attribute` found, one case and one reference at a time. What was found stays
//! found: whoever dies or refuses later costs one entry, and a divergence is never hidden by it.

use std::path::PathBuf;

use serde::Serialize;

use super::brought::Brought;
use super::last_failed::{LastFailed, LastRun};
use super::listed::Listed;
use super::selection::Selection;
use crate::case::Case;
use crate::case::observation::Identity;
use crate::command::finish::finish;
use crate::command::flags::{Html, Jobs, Json};
use crate::exit::{Exit, Failure};
use crate::io::{look, output, threads};
use crate::judge::outcome::{Lost, Outcome};
use crate::runner::RunError;
use crate::runner::suite::Suite;

/// One case against one reference.
#[derive(Debug, Clone, Serialize)]
pub struct Entry<F> {
    /// The case.
    pub case: String,
    /// The reference; none if it did not come to asking one.
    pub reference: Option<Identity>,
    /// What it came to.
    pub outcome: Outcome,
    /// Why nothing was found, if nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The reference, or the case, takes no part: that counts only where nothing else was found.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub declined: bool,
    /// What was found.
    #[serde(flatten)]
    pub found: Option<F>,
}

/// What one comparison found: its part of the JSON, its text, what it came to.
pub struct Finding<F> {
    /// What it came to.
    pub outcome: Outcome,
    /// For a person.
    pub text: String,
    /// For a program.
    pub found: F,
}

/// Why there is no finding.
#[derive(Debug, Clone)]
pub struct NoFinding {
    /// What that comes to, and why.
    pub lost: Lost,
    /// The reference or the case takes no part: that counts only where nobody does.
    pub declined: bool,
}

impl NoFinding {
    /// A reference or a case that takes no part, which is its right.
    pub fn declined(outcome: Outcome, why: impl ToString) -> Self {
        let lost = Lost::new(outcome, why);
        NoFinding {
            lost,
            declined: true,
        }
    }

    /// A reference that did not answer.
    pub fn no_answer(error: RunError) -> Self {
        match error {
            RunError::Declined(why) => Self::declined(Outcome::ReferenceMissing, why),
            RunError::Died(_) => Failure::new(Exit::ReferenceDied, error).into(),
            error => Failure::from(error).into(),
        }
    }
}

impl<E: Into<Failure>> From<E> for NoFinding {
    fn from(failure: E) -> Self {
        NoFinding {
            lost: failure.into().into(),
            declined: false,
        }
    }
}

/// What came of asking a reference, or of not coming to ask one.
type Asked<F> = (Option<Identity>, Result<Finding<F>, NoFinding>);

/// Everything that was found about one case.
pub struct AboutCase<F> {
    case: String,
    found: Vec<Asked<F>>,
}

impl<F> AboutCase<F> {
    /// Nothing yet.
    pub fn new(case: &str) -> Self {
        AboutCase {
            case: case.to_owned(),
            found: Vec::new(),
        }
    }

    /// One more.
    pub fn add(&mut self, reference: Option<Identity>, result: Result<Finding<F>, NoFinding>) {
        self.found.push((reference, result));
    }

    /// What is needed to ask at all; without it there is an entry that says why.
    pub fn needs<T>(&mut self, needed: Result<T, NoFinding>) -> Option<T> {
        needed.map_err(|why| self.add(None, Err(why))).ok()
    }
}

/// How `trace` and `attribute` go through their cases.
pub struct EachCase<'a> {
    /// The word of the command line.
    pub command: &'static str,
    /// Which cases.
    pub selection: &'a Selection,
    /// Where they are.
    pub suite: &'a Suite,
    /// Engines that were brought.
    pub brought: &'a Brought,
    /// Whether only those that failed last.
    pub last_failed: LastFailed,
    /// Whether only their names are wanted.
    pub listed: Listed,
    /// How many side by side.
    pub jobs: Jobs,
}

impl EachCase<'_> {
    /// Asks about every case those whom `open` opens, `own` to begin with, of whom some may
    /// compute; what each comes to is known to the next run.
    pub fn ask<S, F: Serialize + Send>(
        &self,
        (own, any_computes): (S, bool),
        open: impl Fn() -> Result<S, Failure> + Sync,
        about: impl Fn(&mut S, &(Case, PathBuf)) -> AboutCase<F> + Sync,
        mut answers: Answers<F>,
    ) -> Result<Exit, Failure> {
        let mut last = LastRun::of(self.command, &self.suite.folder, &self.brought.subject);
        let cases = self.selection.cases(self.suite, any_computes)?;
        let name = |(case, _): &(Case, PathBuf)| case.name.clone();
        let cases = self.last_failed.of(&last, cases, name)?;
        if let Some(listed) = self.listed.names(cases.iter().map(name), answers.json) {
            return listed;
        }
        let work = |asked: &mut S, at: usize| about(asked, &cases[at]);
        threads::in_order(
            self.jobs.of(!any_computes),
            cases.len(),
            own,
            open,
            work,
            |found| {
                answers.take(found);
                Ok::<bool, Failure>(true)
            },
        )?;
        if self.selection.model.typed().is_none() {
            last.ended(answers.outcomes());
        }
        answers.end()
    }
}

/// The answers so far.
pub struct Answers<'j, F> {
    entries: Vec<Entry<F>>,
    json: &'j Json,
    html: Html,
    /// What keeping and printing them came to.
    own: Outcome,
}

impl<'j, F: Serialize> Answers<'j, F> {
    /// None yet; they are printed one by one unless JSON takes standard output.
    pub fn new(json: &'j Json) -> Self {
        Answers {
            entries: Vec::new(),
            json,
            html: Html::default(),
            own: Outcome::Ok,
        }
    }

    /// The page of all of them, too, if it was asked for.
    pub fn shown(mut self, html: &Html) -> Self {
        self.html = html.clone();
        self
    }

    /// One more.
    pub fn add(
        &mut self,
        case: &str,
        reference: Option<Identity>,
        result: Result<Finding<F>, NoFinding>,
    ) {
        let who = reference.as_ref();
        let who = who.map_or_else(|| "engine".to_owned(), Identity::to_string);
        let mut entry = Entry {
            case: case.to_owned(),
            reference,
            outcome: Outcome::Ok,
            why: None,
            declined: false,
            found: None,
        };
        let text = match result {
            Ok(finding) => {
                entry.outcome = finding.outcome;
                entry.found = Some(finding.found);
                finding.text
            }
            Err(NoFinding { lost, declined }) => {
                let word = if declined {
                    "skipped"
                } else {
                    lost.outcome.name()
                };
                let text = format!("{who}: {word}: {}", lost.why);
                (entry.outcome, entry.why) = (lost.outcome, Some(lost.why));
                entry.declined = declined;
                text
            }
        };
        let bad = entry.outcome.exit() != Exit::Agrees;
        self.entries.push(entry);
        if bad || !look::is_quiet() {
            self.print(&format!("{case}: {text}\n"));
        }
    }

    /// Everything about a case.
    pub fn take(&mut self, about: AboutCase<F>) {
        for (reference, result) in about.found {
            self.add(&about.case, reference, result);
        }
    }

    /// What is needed to ask about a case at all; without it the case has an entry that says why.
    pub fn needs<T>(&mut self, case: &str, needed: Result<T, NoFinding>) -> Option<T> {
        needed.map_err(|why| self.add(case, None, Err(why))).ok()
    }

    /// A full disk must not lose what was found: it is told once, and the rest goes on.
    fn print(&mut self, text: &str) {
        let taken = self.json.takes_stdout() || self.html.takes_stdout();
        if taken || self.own == Outcome::Environment {
            return;
        }
        if let Err(failure) = output::print(text) {
            output::tell(format!("error: {failure}"));
            self.own = Outcome::Environment;
        }
    }

    /// Everything so far.
    pub fn entries(&self) -> &[Entry<F>] {
        &self.entries
    }

    /// The worst of all that took part; nothing if none did.
    pub fn outcome(&self) -> Option<Outcome> {
        let judged = self.entries.iter().filter(|entry| !entry.declined);
        judged.map(|entry| entry.outcome).max()
    }

    /// What each case comes to that took part.
    pub fn outcomes(&self) -> impl Iterator<Item = (String, Outcome)> {
        let judged = self.entries.iter().filter(|entry| !entry.declined);
        judged.map(|entry| (entry.case.clone(), entry.outcome))
    }

    /// The summary, the JSON, and what the command ends with.
    pub fn end(self) -> Result<Exit, Failure> {
        let Some(outcome) = self.outcome() else {
            return Err(no_answer(&self.entries));
        };
        let skipped = self.entries.iter().filter(|entry| entry.declined).count();
        let text = if skipped > 0 && !self.html.takes_stdout() {
            format!("skipped {skipped}: the lines above say why\n")
        } else {
            String::new()
        };
        let ended = finish(outcome.max(self.own), &text, &self.entries, self.json)?;
        Ok(self.html.show(ended, &self.entries))
    }
}

/// No reference had anything to show.
fn no_answer<F>(entries: &[Entry<F>]) -> Failure {
    let mut whys: Vec<&str> = entries.iter().filter_map(|e| e.why.as_deref()).collect();
    whys.dedup();
    let Some(worst) = entries.iter().map(|entry| entry.outcome).max() else {
        let message = "no recording shows the nodes of that; a live reference shows any prompt's: \
                       `scripts/reference.sh bitnet` builds one, --reference bitnet asks it";
        return Failure::new(Exit::ReferenceMissing, message);
    };
    let (count, whys) = (entries.len(), whys.join("; "));
    let message = format!("skipped {count}, and nothing else was asked for: {whys}");
    Failure::new(worst.exit(), message)
}
