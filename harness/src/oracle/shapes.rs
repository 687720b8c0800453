//! Random models of many shapes through two sources of logits that must agree on every bit: the
//! engine and a live reference or, without one, the engine computing by other schedules.
//!
//! Everything about a trial follows from its number, so a number repeats it; a trial that differs
//! is made smaller as long as it differs.

mod cell;
mod coverage;
mod pair;
pub(crate) mod record;
mod report;
mod shrink;
mod table;
mod trial;
mod variants;

use std::time::Instant;

use crate::case::ability::lacked;
use crate::case::schedule::Schedule;
use crate::exit::Failure;
use crate::io::threads;
use crate::runner::Runner;
pub use cell::Cell;
pub use coverage::Coverage;
use coverage::LEAST;
pub use pair::{Answers, Pair};
use pair::{Difference, NodeDifference, Tally};
use report::Tried;
pub use report::{Mode, Report, of_shares};
pub use shrink::Smallest;
pub use trial::{Plan, Trial};
pub use variants::ScheduleVariants;

/// The version of the JSON this build writes.
pub const SCHEMA: u32 = 1;

/// Who is examined and against whom.
pub type Sides = (Box<dyn Runner>, Box<dyn Runner>);

/// Every trial of a plan. `done` is shown the report after each, so that what was computed is not
/// lost with the rest; at the end the first that differs is made smaller.
pub fn examine(
    pair: &mut Pair<'_>,
    plan: &Plan,
    mode: Mode,
    done: &mut dyn FnMut(&Report),
) -> Report {
    let alone = || Err(Failure::environment("one job opens no others"));
    let examined = examine_in_jobs((1, &alone), pair, plan, mode, done);
    examined.expect("one job does not fail")
}

/// The same in so many jobs at once, each with the sides that the function beside it opens.
pub fn examine_in_jobs(
    (jobs, again): (usize, &(dyn Fn() -> Result<Sides, Failure> + Sync)),
    pair: &mut Pair<'_>,
    plan: &Plan,
    mode: Mode,
    done: &mut dyn FnMut(&Report),
) -> Result<Report, Failure> {
    let mut report = Report::begin(pair, plan, mode);
    let mut differing = None;
    let lacking = pair.theirs.lacking();
    let offered = |way: &Schedule| lacked(way, &lacking).is_none();
    let numbers = plan.numbers();
    let work = |own: &mut Asked<'_, '_>, at: usize| {
        let (mut trial, began) = (plan.trial(numbers[at]), Instant::now());
        trial.schedules.retain(offered);
        let answers = own.compare(&trial);
        (trial, answers, began.elapsed())
    };
    let others = || again().map(Asked::Others);
    let own = Asked::Own(&mut *pair);
    threads::in_order(
        jobs,
        numbers.len(),
        own,
        others,
        work,
        |(trial, answers, took)| {
            if let (Some(difference), None) = (answers.difference(), &differing) {
                differing = Some((trial.clone(), *difference));
            }
            report.add(&trial, answers, took);
            done(&report);
            Ok::<bool, Failure>(true)
        },
    )?;
    if let Some((trial, difference)) = differing {
        let mut differs = |trial: &Trial| pair.compare(trial).difference().copied();
        let (trial, mut smallest) = shrink::smallest(trial, difference, &mut differs);
        smallest.node = pair.first_node(&trial);
        report.smallest = Some(smallest);
        done(&report);
    }
    Ok(report)
}

/// Whom a job asks: those whom the caller has, or others like them.
enum Asked<'p, 'a> {
    Own(&'p mut Pair<'a>),
    Others(Sides),
}

impl Asked<'_, '_> {
    fn compare(&mut self, trial: &Trial) -> Answers {
        match self {
            Asked::Own(pair) => pair.compare(trial),
            Asked::Others((ours, theirs)) => {
                let (ours, theirs) = (&mut **ours, &mut **theirs);
                Pair { ours, theirs }.compare(trial)
            }
        }
    }
}
