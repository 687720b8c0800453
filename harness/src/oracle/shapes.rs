//! Random models of many shapes through two sources of logits that must agree on every bit: the
//! engine and a live reference or, without one, the engine computing by other schedules.
//!
//! Everything about a trial follows from its number, so a number repeats it; a trial that differs
//! is made smaller as long as it differs.

mod cell;
mod coverage;
mod pair;
mod report;
mod shrink;
mod table;
mod trial;
mod variants;

use std::time::Instant;

use crate::case::ability::lacked;
use crate::case::schedule::Schedule;
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

/// Every trial of a plan. `done` is shown the report after each, so that what was computed is not
/// lost with the rest; at the end the first that differs is made smaller.
pub fn examine(
    pair: &mut Pair<'_>,
    plan: &Plan,
    mode: Mode,
    done: &mut dyn FnMut(&Report),
) -> Report {
    let mut report = Report::begin(pair, plan, mode);
    let mut differing = None;
    let lacking = pair.theirs.lacking();
    for mut trial in plan.trials() {
        let offered = |way: &Schedule| lacked(way, &lacking).is_none();
        trial.schedules.retain(offered);
        let began = Instant::now();
        let answers = pair.compare(&trial);
        if let (Some(difference), None) = (answers.difference(), &differing) {
            differing = Some((trial.clone(), *difference));
        }
        report.add(&trial, answers, began.elapsed());
        done(&report);
    }
    if let Some((trial, difference)) = differing {
        let mut differs = |trial: &Trial| pair.compare(trial).difference().copied();
        let (trial, mut smallest) = shrink::smallest(trial, difference, &mut differs);
        smallest.node = pair.first_node(&trial);
        report.smallest = Some(smallest);
        done(&report);
    }
    report
}
