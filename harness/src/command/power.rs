//! `harness power`: faults planted one at a time, and whether the comparison notices.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::power::trial::{Bench, LOOSER};
use crate::power::{self, Effect, Fault, Outcome, clean};
use crate::suite::Suite;
use crate::{atomic, output, progress};

const HELP: &str = "\
Examples:
  harness power
  harness power --fault rope-theta-by-pow --clean-runs 0
  harness power --json power.json

A fault of numbers must also be located: the first node that differs from the reference's trace
must be the one it was planted in. A clean run is one whole comparison of the unmodified engine,
with a recording or with itself on another kernel and number of threads; any verdict but
`agree` is an alarm. Exit 1 if a fault is not caught or not located, or if there is an alarm.";

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
    let bench = Bench::new(suite.clone());
    let attempt = |fault: &&Fault| {
        bar.inc(1);
        bench.attempt(fault)
    };
    let outcomes: Vec<Outcome> = faults.iter().map(attempt).collect::<Result<_, _>>()?;
    let alarms = clean::alarms(&suite, args.clean_runs, || bar.inc(1))?;
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

fn render(outcomes: &[Outcome], clean_runs: usize, alarms: &[String]) -> String {
    let mut text = format!(
        "{:<36}{:<7}{:<9}{:<34}{:>8}{:>8}{:>9}{:>12}{:>7}  {:<12}{}\n",
        "fault",
        "caught",
        "located",
        "by",
        "1-cos",
        "KL",
        "NMSE",
        "ULP",
        "equal",
        "usual gate",
        "first node"
    );
    for outcome in outcomes {
        text.push_str(&line(outcome));
    }
    let count = |wanted: fn(&&Outcome) -> bool| outcomes.iter().filter(wanted).count();
    let numeric = count(|o| o.expected_node.is_some());
    text.push_str(&format!(
        "\n{} of {} faults caught, {} of {numeric} faults of numbers located; the usual gate \
         (cosine > 0.99 on the last position) misses {}\n\
         judged by distances instead of bits, {}\n{} alarms in {clean_runs} clean runs\n",
        count(|o| o.caught),
        outcomes.len(),
        count(|o| o.located == Some(true)),
        count(|o| o.usual_gate_would_miss),
        looser(outcomes),
        alarms.len(),
    ));
    alarms
        .iter()
        .for_each(|alarm| text.push_str(&format!("ALARM {alarm}\n")));
    text
}

/// What each looser tier alone would have missed.
fn looser(outcomes: &[Outcome]) -> String {
    let told = LOOSER.map(|apart| {
        let tier = apart.tier();
        let missed = |o: &&Outcome| o.tiers_would_miss.contains(&tier);
        let missed = outcomes.iter().filter(missed).count();
        format!("{} would have missed {missed}", tier.name())
    });
    told.join(", ")
}

fn line(outcome: &Outcome) -> String {
    let Effect {
        cosine_last,
        kl_max,
        nmse_max,
        ulp_max,
        bit_equal_share,
    } = outcome.effect;
    let short = |value: Option<f64>| value.map_or("-".into(), |v| format!("{v:.0e}"));
    let located = match outcome.located {
        None => "-",
        Some(true) => "yes",
        Some(false) => "NO",
    };
    format!(
        "{:<36}{:<7}{located:<9}{:<34}{:>8}{:>8}{:>9}{:>12}{:>7}  {:<12}{}\n",
        outcome.name,
        if outcome.caught { "yes" } else { "NO" },
        outcome.by.as_deref().unwrap_or("-"),
        short(cosine_last.map(|c| 1.0 - c)),
        short(kl_max),
        short(nmse_max),
        ulp_max.map_or("-".into(), |u| u.to_string()),
        bit_equal_share.map_or("-".into(), |s| format!("{:.1}%", 100.0 * s)),
        if outcome.usual_gate_would_miss {
            "passes"
        } else {
            "fails"
        },
        outcome.first_node.as_deref().unwrap_or("-"),
    )
}
