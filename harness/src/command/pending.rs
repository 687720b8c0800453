//! Recordings that wait for a person: shown, accepted and rejected.

use std::path::PathBuf;

use serde::Serialize;

use crate::case::pattern;
use crate::command::finish::finish;
use crate::command::flags::Json;
use crate::exit::{Exit, Failure};
use crate::io::output::quoted;
use crate::judge::compare::{Findings, LaneFindings};
use crate::judge::outcome::Outcome;
use crate::oracle::crossval::pending::{self, Change, Pending};
use crate::receipt::explanation_of;
use crate::runner::suite::Suite;

/// Which of them, and beside which fixtures.
#[derive(clap::Args)]
pub struct Waiting {
    /// The pending recordings of that name only: whole, a part of it, or with * for any letters
    #[arg(long, value_name = "NAME")]
    pub recording: Vec<String>,

    /// The folder with cases.json [default: fixtures/ here or above]
    #[arg(long, value_name = "DIR")]
    pub fixtures: Option<PathBuf>,
}

impl Waiting {
    /// The fixtures folder; beside those that are built in nothing waits.
    fn folder(&self) -> Result<PathBuf, Failure> {
        self.fixtures.clone().map_or_else(Suite::find, Ok)
    }

    /// Their names; none where none waits and none was named.
    fn names(&self) -> Result<Vec<String>, Failure> {
        let all = pending::names(&self.folder()?)?;
        if all.is_empty() && self.recording.is_empty() {
            return Ok(all);
        }
        let names: Vec<&str> = all.iter().map(String::as_str).collect();
        let wanted = pattern::select(&names, &self.recording, "pending recording")?;
        Ok(wanted.into_iter().map(str::to_owned).collect())
    }
}

/// One that waits, as it is shown.
#[derive(Debug, Serialize)]
struct Shown {
    recording: String,
    /// Who made what is committed; none where nothing is.
    before: Option<String>,
    now: String,
    stale: Option<String>,
    changes: Vec<Change>,
}

impl Shown {
    fn of(pending: &Pending, suite: &Suite) -> Self {
        let (before, now) = pending.makers(suite);
        Shown {
            recording: pending.name().to_owned(),
            before,
            now,
            stale: pending.stale(suite),
            changes: pending.changes(suite),
        }
    }

    fn text(&self) -> String {
        let mut lines = vec![match &self.before {
            Some(_) => format!("{}: other answers than on record", self.recording),
            None => format!("{}: on record nowhere", self.recording),
        }];
        let before = self.before.as_ref();
        lines.extend(before.map(|before| format!("  before: {before}")));
        lines.push(format!("  now:    {}", self.now));
        for change in &self.changes {
            lines.extend(
                change_lines(change)
                    .into_iter()
                    .map(|line| format!("  {line}")),
            );
        }
        lines.push(match &self.stale {
            Some(why) => format!(
                "  STALE: {why}; harness reject --recording {}",
                self.recording
            ),
            None => format!(
                "  next: harness accept --recording {} --reason …",
                self.recording
            ),
        });
        lines.join("\n") + "\n"
    }
}

/// What is said of one case: how much differs, and where first.
fn change_lines(change: &Change) -> Vec<String> {
    let Some(verdict) = &change.verdict else {
        return vec![format!("{}: new", change.case)];
    };
    let mut lines = vec![format!("{}: {verdict}", change.case)];
    let Some(found) = &change.findings else {
        return lines;
    };
    let [logits, equal] = found.logits();
    lines.push(format!("  {} of {logits} logits differ", logits - equal));
    lines.extend(found.lanes.iter().filter_map(first_of_lane));
    let nodes = &found.nodes;
    let other = nodes
        .compared
        .iter()
        .filter(|node| !node.is_bit_identical());
    let (other, all) = (other.count(), nodes.compared.len());
    if other > 0 {
        lines.push(format!("  {other} of {all} nodes differ"));
    }
    let first = nodes.first_difference.as_ref();
    lines.extend(first.map(|first| format!("  first node: {}", explanation_of(first))));
    if !nodes.missing.is_empty() {
        lines.push(format!(
            "  nodes that are gone: {}",
            nodes.missing.join(", ")
        ));
    }
    lines.extend(parting(found));
    lines
}

fn first_of_lane(lane: &LaneFindings) -> Option<String> {
    let first = lane.first_difference.as_ref()?;
    Some(format!(
        "  {}, first: {}",
        lane.lane.name(),
        explanation_of(first)
    ))
}

fn parting(found: &Findings) -> Option<String> {
    let parting = found.greedy.first_divergence.as_ref()?;
    let [before, now] = parting.tokens;
    let step = parting.step;
    Some(format!(
        "  continuation, from step {step}: token {now} instead of {before}"
    ))
}

/// Everything that waits, and what it changes.
pub fn review(waiting: &Waiting, json: &Json) -> Result<Exit, Failure> {
    json.beside([])?;
    let folder = waiting.folder()?;
    let mut shown = Vec::new();
    for name in waiting.names()? {
        let suite = Suite::open(&folder)?;
        shown.push(Shown::of(&Pending::open(&folder, &name)?, &suite));
    }
    let texts: Vec<String> = shown.iter().map(Shown::text).collect();
    let (text, outcome) = if texts.is_empty() {
        ("no recording waits for a review\n".to_owned(), Outcome::Ok)
    } else {
        (texts.join("\n"), Outcome::Divergence)
    };
    finish(outcome, &text, &shown, json)
}

/// Puts those that are named in their places, each with the reason. The first that is refused ends
/// it; those before it are in their places.
pub fn accept(waiting: &Waiting, reason: &str, dry: bool, json: &Json) -> Result<Exit, Failure> {
    json.beside([])?;
    let folder = waiting.folder()?;
    let names = waiting.names()?;
    if names.is_empty() {
        let message = "no recording waits: `harness crossval --reference NAME --record` leaves \
                       what the fixtures' recordings do not say";
        return Err(Failure::input(message));
    }
    let mut shown = Vec::new();
    for name in names {
        let suite = Suite::open(&folder)?;
        let pending = Pending::open(&folder, &name)?;
        let one = Shown::of(&pending, &suite);
        if !dry {
            pending.accept(&suite, reason)?;
        } else if let Some(why) = &one.stale {
            return Err(Failure::input(format!("{name} is stale: {why}")));
        }
        shown.push(one);
    }
    let verb = if dry { "would be accepted" } else { "accepted" };
    let line = |one: &Shown| format!("{verb} {}: {reason}\n", one.recording);
    let text: String = shown.iter().map(line).collect();
    finish(Outcome::Ok, &text, &shown, json)
}

/// Removes those that are named.
pub fn reject(waiting: &Waiting, json: &Json) -> Result<Exit, Failure> {
    json.beside([])?;
    let folder = waiting.folder()?;
    let names = waiting.names()?;
    for name in &names {
        pending::reject(&folder, name)?;
    }
    let line = |name: &String| format!("rejected {}\n", quoted(name));
    let mut text: String = names.iter().map(line).collect();
    if names.is_empty() {
        text += "no recording waits for a review\n";
    }
    finish(Outcome::Ok, &text, &names, json)
}
