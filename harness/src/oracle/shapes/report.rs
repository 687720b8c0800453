//! What a run comes to: plain data, one outcome.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Answers, Coverage, Pair, Plan, SCHEMA, Smallest, Trial};
use crate::case::observation::Identity;
use crate::case::shard::Share;
use crate::fixture::random::architecture_by_name;
use crate::judge::outcome::Outcome;

/// Against whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A C++ reference that computes now.
    Live,
    /// The engine against itself, which says nothing about parity.
    RustOnly,
}

/// One trial and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    pub number: u64,
    pub shape: String,
    /// Ways through it.
    pub schedules: usize,
    pub outcome: Answers,
    pub milliseconds: u64,
}

/// All trials of one pair.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The version of this layout.
    pub schema_version: u32,
    /// Against whom.
    pub mode: Mode,
    /// Who was examined.
    pub ours: Identity,
    /// Against whom.
    pub theirs: Identity,
    /// The number of the first trial.
    pub first: u64,
    /// Trials there are to be.
    pub count: u64,
    /// Trials that came to an end.
    pub trials: Vec<Tried>,
    /// What they covered.
    pub coverage: Coverage,
    /// Logits compared.
    pub logits: usize,
    /// Logits of which a bit differs.
    pub differing: usize,
    /// The smallest trial that differs.
    pub smallest: Option<Smallest>,
    /// What it comes to.
    pub status: Outcome,
    /// Which share it is, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
}

impl Report {
    /// Nothing is tried yet.
    pub(super) fn begin(pair: &Pair<'_>, plan: &Plan, mode: Mode) -> Self {
        Report {
            schema_version: SCHEMA,
            mode,
            ours: pair.ours.identity(),
            theirs: pair.theirs.identity(),
            first: plan.first,
            count: plan.count,
            trials: Vec::new(),
            coverage: Coverage::new(plan),
            logits: 0,
            differing: 0,
            smallest: None,
            status: Outcome::Incomplete,
            share: None,
        }
    }

    /// One more trial came to an end.
    pub(super) fn add(&mut self, trial: &Trial, answers: Answers, took: Duration) {
        let compared = matches!(answers, Answers::Compared(_));
        self.coverage.add(trial, compared);
        if let Answers::Compared(tally) = &answers {
            self.logits += tally.logits;
            self.differing += tally.differing;
        }
        self.trials.push(Tried {
            number: trial.number,
            shape: trial.shape.to_string(),
            schedules: trial.schedules.len(),
            outcome: answers,
            milliseconds: took.as_millis() as u64,
        });
        self.status = conclude(
            self.mode,
            self.count,
            &self.trials,
            &self.coverage,
            self.logits,
        );
    }
}

/// What shares come to whose trials were put together: each report of the whole, with the reports
/// about the same reference that it was made of.
pub fn of_shares(whole: &mut Value, shares: &[&[Map<String, Value>]]) -> Result<Outcome, String> {
    let mut worst = Outcome::Ok;
    let reports = whole.as_array_mut().into_iter().flatten().enumerate();
    for (at, report) in reports {
        let own: Vec<&Value> = shares
            .iter()
            .map(|tables| &tables[at]["smallest"])
            .collect();
        worst = worst.max(of_one(report, &own)?);
    }
    Ok(worst)
}

fn of_one(report: &mut Value, smallest: &[&Value]) -> Result<Outcome, String> {
    let wrong = |e: serde_json::Error| format!("trials: {e}");
    let trials = Vec::<Tried>::deserialize(&report["trials"]).map_err(wrong)?;
    let mode = Mode::deserialize(&report["mode"]).map_err(wrong)?;
    let told = |field: &str| report[field].as_u64().ok_or(format!("there is no {field}"));
    let (first, count, logits) = (told("first")?, told("count")?, told("logits")?);
    let rows = report["coverage"]["rows"].as_array().into_iter().flatten();
    let demanded = rows.filter(|row| row["dimension"] == "architecture" && row["demanded"] == true);
    let names = demanded.filter_map(|row| row["value"].as_str());
    let architectures = names.map(architecture_by_name).collect::<Result<_, _>>()?;
    let mut coverage = Coverage::new(&Plan::new(architectures, first, count));
    for tried in &trials {
        let trial = Trial::of_words(tried.number, &tried.shape)?;
        if trial.schedules.len() != tried.schedules {
            let why = "an engine that lacks some ways through a model: its shares say nothing of \
                       the whole";
            return Err(why.into());
        }
        coverage.add(&trial, matches!(tried.outcome, Answers::Compared(_)));
    }
    let status = conclude(mode, count, &trials, &coverage, logits as usize);
    // The first trial that differs is the one that was made smaller.
    let place = |one: &Value| trials.iter().position(|t| one["number"] == t.number);
    let found = smallest.iter().filter(|one| !one.is_null());
    let first = found.min_by_key(|one| place(one));
    let first = first.map_or(Value::Null, |one| (*one).clone());
    report["coverage"] = json!(coverage);
    report["smallest"] = first;
    report["status"] = json!(status);
    Ok(status)
}

/// The worst of all trials; at best incomplete as long as something is missing.
fn conclude(
    mode: Mode,
    count: u64,
    trials: &[Tried],
    coverage: &Coverage,
    logits: usize,
) -> Outcome {
    let done = trials.len() as u64 == count;
    let whole = done && coverage.is_complete() && logits > 0;
    let floor = match mode {
        _ if !whole => Outcome::Incomplete,
        Mode::Live => Outcome::Ok,
        Mode::RustOnly => Outcome::RustOnly,
    };
    let trials = trials.iter().map(|tried| tried.outcome.outcome());
    Outcome::worst(floor, trials)
}
