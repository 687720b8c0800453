//! What a calibration comes to: every floor with its intervals, beside the record; one outcome.

use std::fmt::Write as _;

use serde::Serialize;

use super::floors::{self, Fresh};
use super::{Calibration, Equal};
use crate::exit::Failure;
use crate::io::table::{Table, number, words};
use crate::judge::outcome::{Lost, Outcome};
use crate::judge::tolerance::{ArithmeticGap, Measured, Tolerances};

/// Everything that was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// When and how.
    pub measured: Measured,
    /// Lanes without a fault.
    pub floors: Vec<Fresh>,
    /// Lanes of one arithmetic.
    pub equal: Vec<Equal>,
    /// The kinds of lanes that were not measured.
    pub unmeasured: Vec<ArithmeticGap>,
    /// What ended it before the last text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<Lost>,
}

impl Report {
    /// The floors beside those of the tolerances.
    pub fn conclude(
        calibration: Calibration,
        measured: Measured,
        tolerances: &Tolerances,
    ) -> Result<Self, Failure> {
        let floors = floors::fresh(&calibration, tolerances)?;
        Ok(Report {
            measured,
            unmeasured: floors::unmeasured(&floors),
            floors,
            equal: calibration.equal,
            ended_by: calibration.ended_by.map(Lost::from),
        })
    }

    /// The worst of all lanes. Floors that are about to replace those on record need not keep
    /// the gates of these.
    pub fn outcome(&self, replaces: bool) -> Outcome {
        let unequal = self.equal.iter().any(|equal| !equal.holds());
        let exceeded = self.floors.iter().any(|one| one.exceeds.is_some());
        let differs = unequal || (exceeded && !replaces);
        Outcome::of(&[(differs, Outcome::Divergence)], self.ended_by.as_ref())
    }

    /// The whole output.
    pub fn render(&self, width: Option<usize>) -> String {
        let table = floors_table(&self.floors);
        let mut text = table.render(width) + "\n";
        for Equal { between, documents } in &self.equal {
            let [one, other] = between;
            let [same, all] = documents;
            let equal = format!("{same} of {all} documents bit-identical");
            let _ = writeln!(text, "{one} and {other}: {equal}");
        }
        for apart in &self.unmeasured {
            let kind = apart.words();
            let _ = writeln!(text, "not measured: {kind}, which needs a reference");
        }
        if let Some(one) = self.floors.first() {
            let _ = writeln!(text, "tails are each the {}", one.floor.tail.name());
        }
        for one in &self.floors {
            if let Some(exceeds) = &one.exceeds {
                let _ = writeln!(text, "EXCEEDS {}: {exceeds}", one.floor.label());
            }
        }
        if let Some(Lost { why, .. }) = &self.ended_by {
            let _ = writeln!(text, "ENDED before the last text: {why}");
        }
        text
    }
}

fn floors_table(floors: &[Fresh]) -> Table {
    Table::of(
        floors,
        &[
            (words("lanes without a fault"), |one| one.floor.label()),
            (number("positions"), |one| one.floor.positions.to_string()),
            (number("NMSE median"), |one| short(one.floor.nmse_median)),
            (number("mean"), |one| short(one.floor.nmse_mean)),
            (number("95 % by document"), |one| between(one.nmse_interval)),
            (number("tail"), |one| short(one.floor.nmse_tail)),
            (number("KLD mean"), |one| short(one.floor.kld_mean)),
            (number("95 % by document"), |one| between(one.kld_interval)),
            (number("tail"), |one| short(one.floor.kld_tail)),
            (number("max|Δ|"), |one| short(one.floor.max_abs)),
            (number("top-1, 95 %"), |one| {
                let [low, high] = one.top1_interval.map(|share| 100.0 * share);
                let equal = one.floor.positions - one.floor.flips;
                format!("{equal} [{low:.2}, {high:.2}]")
            }),
            (words("record"), |one| {
                match (&one.exceeds, one.of_recorded) {
                    (Some(_), _) => "EXCEEDS".into(),
                    (None, Some(ratio)) => format!("x {ratio:.2}"),
                    (None, None) => "none".into(),
                }
            }),
        ],
    )
}

fn short(value: f64) -> String {
    format!("{value:.1e}")
}

fn between(interval: Option<[f64; 2]>) -> String {
    interval.map_or("-".into(), |[low, high]| format!("[{low:.1e}, {high:.1e}]"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::tolerance::tolerances;

    #[test]
    fn every_pair_comes_to_the_worse_and_a_death_hides_no_divergence() {
        let equal = |same| Equal {
            between: ["one", "other"].map(String::from),
            documents: [same, 2],
        };
        let fresh = |exceeds: Option<&str>| Fresh {
            floor: tolerances().floor[0].clone(),
            nmse_interval: None,
            kld_interval: None,
            top1_interval: [0.0, 1.0],
            worst_median: 0.0,
            of_recorded: None,
            exceeds: exceeds.map(String::from),
        };
        let report = |same, exceeds, ended: Outcome| Report {
            measured: tolerances().measured.clone(),
            floors: vec![fresh(None), fresh(exceeds)],
            equal: vec![equal(2), equal(same)],
            unmeasured: Vec::new(),
            ended_by: (ended != Outcome::Ok).then(|| Lost::new(ended, "planted")),
        };
        for ended in Outcome::ALL {
            let whole = report(2, None, ended);
            assert_eq!(whole.outcome(false), ended);
            assert_eq!(whole.render(None).contains("planted"), ended != Outcome::Ok);
            let differs = ended.max(Outcome::Divergence);
            assert_eq!(report(1, None, ended).outcome(true), differs);
            let exceeds = report(2, Some("above its gate"), ended);
            assert_eq!(exceeds.outcome(false), differs);
            assert_eq!(exceeds.outcome(true), ended, "its gates are replaced");
        }
    }
}
