//! Random models of many shapes through two sources of logits that must agree on every bit: the
//! engine and a live reference or, without one, the engine computing in other ways.
//!
//! Everything about a trial follows from its number, so a number repeats it; a trial that differs
//! is made smaller as long as it differs.
#![forbid(unsafe_code)]

mod cell;
mod contest;
mod coverage;
mod other_ways;
mod report;
mod shrink;
mod table;
mod trial;

use std::time::Instant;

use crate::exit::Failure;

pub use cell::Cell;
pub use contest::{Contest, Difference, NodeDifference, Outcome, Tally};
pub use coverage::{LEAST, Row, Table};
pub use other_ways::OtherWays;
pub use report::{Mode, Report, Status, Tried};
pub use shrink::Smallest;
pub use trial::{Plan, Trial};

/// The version of the JSON this build writes.
pub const SCHEMA: u32 = 1;

/// Every trial of a plan. `done` is shown the report after each, so that what was computed is not
/// lost with the rest; at the end the first that differs is made smaller.
pub fn examine(
    contest: &mut Contest<'_>,
    plan: &Plan,
    mode: Mode,
    done: &mut dyn FnMut(&Report) -> Result<(), Failure>,
) -> Result<Report, Failure> {
    let mut report = Report::begin(contest, plan, mode);
    let mut differing = None;
    for trial in plan.trials() {
        let began = Instant::now();
        let outcome = contest.judge(&trial);
        if let (Some(difference), None) = (outcome.difference(), &differing) {
            differing = Some((trial.clone(), *difference));
        }
        report.add(&trial, outcome, began.elapsed());
        done(&report)?;
    }
    if let Some((trial, difference)) = differing {
        let mut asked = |trial: &Trial| contest.judge(trial).difference().copied();
        let (trial, mut smallest) = shrink::smallest(trial, difference, &mut asked);
        smallest.node = contest.first_node(&trial);
        report.smallest = Some(smallest);
        done(&report)?;
    }
    Ok(report)
}
