//! `harness power`: faults planted one at a time, and whether the comparison notices.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::io::atomic;
use crate::io::output;
use crate::io::progress;
use crate::oracle::power::clean::{self, Alarm};
use crate::oracle::power::gate;
use crate::oracle::power::trial::Bench;
use crate::oracle::power::{self, Fault, Outcome, crew};
use crate::runner::suite::Suite;

const HELP: &str = "\
Examples:
  harness power
  harness power --fault rope-theta-by-pow --clean-runs 0
  harness power --json power.json

A fault of numbers must also be located: the first node that differs from the reference's trace
must be the one it was planted in. A clean run is one whole comparison of the unmodified engine,
with a recording or with itself on another kernel and number of threads, no two runs alike; any
verdict but `agree` is an alarm. Exit 1 if a fault is not caught or not located, or if there is an
alarm.

Every fault is tried on every prompt of its model. The gates of the last table are the usual ones
and the looser tiers of this program: each is asked about each prompt, prefill and decode apart, and
one refusal counts as seen.";

/// Plant known faults one at a time: is each caught, and located?
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// Plant this fault only; may be given several times
    #[arg(long, value_name = "NAME")]
    fault: Vec<String>,

    /// Print the names of all faults and the nodes they are planted in, and plant none
    #[arg(long)]
    list: bool,

    /// Write the outcomes here as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Comparisons of the engine without a fault
    #[arg(long, value_name = "N", default_value = "1000")]
    clean_runs: usize,

    /// Fixtures folder [default: fixtures/ here or above]
    #[arg(long, value_name = "DIR")]
    fixtures: Option<PathBuf>,
}

/// What `--json` writes.
#[derive(Serialize)]
struct Report {
    faults: Vec<Outcome>,
    clean_runs: usize,
    alarms: usize,
}

/// Plants, compares, reports.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let faults = select(power::catalogue(), &args.fault)?;
    if args.list {
        return list(&faults);
    }
    let suite = Suite::open(&args.fixtures.map_or_else(Suite::find, Ok)?)?;
    let bar = progress::bar((faults.len() + args.clean_runs) as u64, "comparisons");
    let bench = Bench::new(suite.clone()).on_every_prompt();
    let outcomes = crew::each(faults.len(), |i| {
        let outcome = bench.attempt(faults[i]);
        bar.inc(1);
        outcome
    })?;
    let runs = clean::plan(&suite, args.clean_runs);
    let alarms = clean::alarms(&suite, &runs, &|_| None, &|| bar.inc(1))?;
    bar.finish_and_clear();
    let sound = alarms.is_empty() && outcomes.iter().all(Outcome::is_settled);
    output::put(render(&outcomes, args.clean_runs, &alarms).as_bytes())?;
    if let Some(path) = &args.json {
        let report = Report {
            faults: outcomes,
            clean_runs: args.clean_runs,
            alarms: alarms.len(),
        };
        let text = serde_json::to_string_pretty(&report).map_err(Failure::environment)?;
        atomic::write(path, (text + "\n").as_bytes()).map_err(Failure::environment)?;
    }
    Ok(if sound { Exit::Agrees } else { Exit::Diverges })
}

fn select(faults: Vec<&'static Fault>, names: &[String]) -> Result<Vec<&'static Fault>, Failure> {
    let known = |name: &&String| faults.iter().any(|fault| fault.name == name.as_str());
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        let message = format!("there is no fault {unknown:?}; --list names them all");
        return Err(Failure::input(message));
    }
    let wanted = |fault: &&Fault| names.is_empty() || names.iter().any(|n| n == fault.name);
    Ok(faults.into_iter().filter(wanted).collect())
}

fn list(faults: &[&Fault]) -> Result<Exit, Failure> {
    let line = |fault: &&Fault| {
        let node = fault.expected_node.unwrap_or("-");
        format!("{:<36}{node}\n", fault.name)
    };
    output::put(faults.iter().map(line).collect::<String>().as_bytes())?;
    Ok(Exit::Agrees)
}

fn render(outcomes: &[Outcome], clean_runs: usize, alarms: &[Alarm]) -> String {
    let mut text = format!(
        "{:<36}{:<7}{:<9}{:<34}{:>8}{:>8}{:>8}{:>12}{:>8}  {:<11}{}\n",
        "fault",
        "caught",
        "located",
        "by",
        "1-cos",
        "KL",
        "NMSE",
        "ULP",
        "equal",
        "gates",
        "first node"
    );
    outcomes
        .iter()
        .for_each(|outcome| text.push_str(&line(outcome)));
    let all: Vec<&Outcome> = outcomes.iter().collect();
    let numeric: Vec<&Outcome> = outcomes
        .iter()
        .filter(|outcome| outcome.expected_node.is_some())
        .collect();
    let located = numeric.iter().filter(|o| o.located == Some(true)).count();
    text.push_str(&gates(&all, &numeric));
    text.push_str(&format!(
        "{:<38}{:>14}{:>25}\n\n{} of {} faults caught, {located} of {} faults of numbers located\n\
         {} alarms in {clean_runs} clean runs\n",
        "crossval: ids, nodes, logits, coverage",
        all.iter().filter(|o| o.caught).count(),
        numeric.iter().filter(|o| o.caught).count(),
        all.iter().filter(|o| o.caught).count(),
        all.len(),
        numeric.len(),
        alarms.len(),
    ));
    for Alarm { run, what } in alarms {
        text.push_str(&format!("ALARM run {run}, {what}\n"));
    }
    text
}

/// How many faults the usual gates see.
fn gates(all: &[&Outcome], numeric: &[&Outcome]) -> String {
    let of = |faults: &[&Outcome], what| format!("of {} {what}", faults.len());
    let mut text = format!(
        "\n{:<38}{:>14}{:>25}\n",
        "which gate sees how many",
        of(all, "faults"),
        of(numeric, "faults of numbers")
    );
    for (number, name) in (0..).zip(gate::names()) {
        let [all, numeric] = [all, numeric].map(|faults| gate::seeing(name, faults));
        text.push_str(&format!("{number}  {name:<35}{all:>14}{numeric:>25}\n"));
    }
    text
}

fn line(outcome: &Outcome) -> String {
    let effect = &outcome.effect;
    let short = |value: Option<f64>| value.map_or("-".into(), |v| format!("{v:.0e}"));
    let located = match outcome.located {
        None => "-",
        Some(true) => "yes",
        Some(false) => "NO",
    };
    let equal = match effect.logits {
        0 => "-".into(),
        all => format!("{:.1}%", 100.0 * effect.bit_equal as f64 / all as f64),
    };
    format!(
        "{:<36}{:<7}{located:<9}{:<34}{:>8}{:>8}{:>8}{:>12}{equal:>8}  {:<11}{}\n",
        outcome.name,
        if outcome.caught { "yes" } else { "NO" },
        outcome.by.as_deref().unwrap_or("-"),
        short(effect.cosine_last.map(|c| 1.0 - c)),
        short(effect.kl_max),
        short(effect.nmse_max),
        effect.ulp_max.map_or("-".into(), |u| u.to_string()),
        seeing(outcome),
        effect.first_node.as_deref().unwrap_or("-"),
    )
}

/// The numbers of the gates that see a fault, a dot for each that does not.
fn seeing(outcome: &Outcome) -> String {
    let sees = |(number, gate): (usize, &str)| match outcome.effect.passes.contains(&gate) {
        true => ".".to_owned(),
        false => number.to_string(),
    };
    (0..).zip(gate::names()).map(sees).collect()
}
