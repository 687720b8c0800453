//! `harness power`: faults planted one at a time, and whether the comparison notices.

use std::path::PathBuf;

use serde::Serialize;

use super::finish::finish;
use super::flags::{self, Html, Json, Sharing};
use super::last_failed::{LastFailed, LastRun};
use crate::case::pattern;
use crate::case::shard::Share;
use crate::exit::{Exit, Failure};
use crate::io::destination::FileRoles;
use crate::io::{output, progress, threads};
use crate::judge::outcome::Outcome;
use crate::oracle::power::{self, Bench, Fault, Trial, clean, table};
use crate::runner::suite::Suite;

const HELP: &str = "\
Examples:
  harness power
  harness power --fault rope-theta-by-pow --clean-runs 0
  harness power --json power.json
  harness power --fault rope-theta-by-pow --clean-runs 0 --html power.html

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
    /// Plant the faults of that name only: whole, a part of it, or with * for any letters
    #[arg(long, value_name = "NAME")]
    fault: Vec<String>,

    /// Print the names of all faults and the nodes they are planted in, and plant none
    #[arg(long)]
    list: bool,

    #[command(flatten)]
    last_failed: LastFailed,

    #[command(flatten)]
    sharing: Sharing,

    /// Where the result goes as JSON.
    #[command(flatten)]
    pub json: Json,

    #[command(flatten)]
    html: Html,

    /// Comparisons of the engine without a fault
    #[arg(long, value_name = "N", default_value = "1000", value_parser = flags::count::<usize>)]
    clean_runs: usize,

    /// Comparisons at once [default: one per core]; the result does not depend on it
    #[arg(short, long, value_name = "N", value_parser = flags::positive)]
    jobs: Option<usize>,

    /// Fixtures folder [default: fixtures/ here or above, else built in]
    #[arg(long, value_name = "DIR")]
    fixtures: Option<PathBuf>,
}

/// What `--json` writes.
#[derive(Serialize)]
struct Report {
    faults: Vec<Trial>,
    clean_runs: usize,
    alarms: usize,
    /// With it, how many clean runs there are in all shares.
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<Share>,
    #[serde(skip_serializing_if = "Option::is_none")]
    all_clean_runs: Option<usize>,
}

/// What all clean runs together are called among the faults.
const CLEAN: &str = "clean runs";

impl Args {
    /// The faults and how many clean runs, or with --last-failed those of both that failed.
    fn again(
        &self,
        last: &LastRun,
        faults: Vec<&'static Fault>,
    ) -> Result<(Vec<&'static Fault>, usize), Failure> {
        let clean = (self.clean_runs > 0).then_some(None);
        let all = faults.into_iter().map(Some).chain(clean).collect();
        let name = |one: &Option<&Fault>| one.map_or(CLEAN, |fault| fault.name).to_owned();
        let all = self.last_failed.of(last, all, name)?;
        let clean_runs = if all.iter().any(Option::is_none) {
            self.clean_runs
        } else {
            0
        };
        Ok((all.into_iter().flatten().collect(), clean_runs))
    }
}

/// Plants, compares, reports.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let roles = FileRoles::default().writes("--json", args.json.to.as_ref())?;
    args.html.beside(roles)?;
    let folder = args.fixtures.clone().map_or_else(Suite::find, Ok)?;
    let mut last = LastRun::of("power", &folder, &[]);
    let faults = select(power::catalogue(), &args.fault)?;
    let (faults, clean_runs) = args.again(&last, faults)?;
    let name = |fault: &&Fault| fault.name.to_owned();
    let share = args.sharing.share(&faults, name);
    let faults = args.sharing.of("power", faults, name);
    if args.list {
        let text = table::list(&faults, output::width());
        return finish(Outcome::Ok, &text, &faults, &args.json);
    }
    if let Some(jobs) = args.jobs {
        threads::set_most(jobs);
    }
    let suite = Suite::open(&folder)?;
    let runs = clean::plan(&suite, clean_runs);
    let all_clean_runs = share.as_ref().map(|_| runs.len());
    let runs = args
        .sharing
        .of("clean runs", runs, |run| run.essence(&suite));
    let bar = progress::bar((faults.len() + runs.len()) as u64, "comparisons");
    let bench = Bench::new(suite.clone()).on_every_prompt();
    let trials = bench.attempt_all(&faults, &|| bar.inc(1))?;
    let alarms = clean::alarms(&suite, &runs, &|_| None, &|| bar.inc(1))?;
    bar.finish_and_clear();
    let ended = trials
        .iter()
        .map(|trial| (trial.name.to_owned(), trial.outcome()));
    let alarmed = alarms.iter().map(|_| Outcome::Divergence);
    let clean = Outcome::worst(Outcome::Ok, alarmed);
    let clean = (!runs.is_empty()).then(|| (CLEAN.to_owned(), clean));
    last.ended(ended.chain(clean));
    let alarmed = alarms.iter().map(|_| Outcome::Divergence);
    let outcome = Outcome::worst(
        Outcome::Ok,
        trials.iter().map(Trial::outcome).chain(alarmed),
    );
    let text = if args.html.takes_stdout() {
        String::new()
    } else {
        table::render(&trials, runs.len(), &alarms, output::width())
    };
    let report = Report {
        faults: trials,
        clean_runs: runs.len(),
        alarms: alarms.len(),
        share,
        all_clean_runs,
    };
    let ended = finish(outcome, &text, &report, &args.json)?;
    Ok(args.html.show(ended, &report))
}

fn select(faults: Vec<&'static Fault>, typed: &[String]) -> Result<Vec<&'static Fault>, Failure> {
    let names: Vec<&str> = faults.iter().map(|fault| fault.name).collect();
    let wanted = pattern::select(&names, typed, "fault")?;
    Ok(faults
        .into_iter()
        .filter(|fault| wanted.contains(fault.name))
        .collect())
}
