//! What a calibration comes to: every floor with its intervals, beside the record; one outcome.
#![forbid(unsafe_code)]

use std::fmt::Write as _;

use serde::Serialize;

use super::floors::{self, Fresh};
use super::{Calibration, Equal};
use crate::exit::Failure;
use crate::io::table::{Table, number, words};
use crate::judge::outcome::{Lost, Outcome};
use crate::judge::tolerance::{ArithmeticGap, Book, Measured};

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
    /// The floors beside those of the book.
    pub fn conclude(
        calibration: Calibration,
        measured: Measured,
        book: &Book,
    ) -> Result<Self, Failure> {
        let floors = floors::fresh(&calibration, book)?;
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
        let equal = self.equal.iter().map(|equal| equal.holds());
        let kept = self
            .floors
            .iter()
            .map(|one| replaces || one.exceeds.is_none());
        let lanes = equal.chain(kept).map(|holds| {
            if holds {
                Outcome::Ok
            } else {
                Outcome::Divergence
            }
        });
        let ended = self.ended_by.iter().map(|ended| ended.outcome);
        Outcome::worst(Outcome::Ok, lanes.chain(ended))
    }

    /// The whole output.
    pub fn render(&self, width: Option<usize>) -> String {
        let mut table = Table::new(&[
            words("lanes without a fault"),
            number("positions"),
            number("NMSE median"),
            number("mean"),
            number("95 % by document"),
            number("tail"),
            number("KLD mean"),
            number("95 % by document"),
            number("tail"),
            number("max|Δ|"),
            number("top-1, 95 %"),
            words("record"),
        ]);
        self.floors.iter().for_each(|one| table.row(cells(one)));
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

fn cells(fresh: &Fresh) -> [String; 12] {
    let floor = &fresh.floor;
    let short = |value: f64| format!("{value:.1e}");
    let between = |interval: Option<[f64; 2]>| {
        interval.map_or("-".into(), |[low, high]| format!("[{low:.1e}, {high:.1e}]"))
    };
    let equal = floor.positions - floor.flips;
    let [low, high] = fresh.top1_interval.map(|share| 100.0 * share);
    let record = match (&fresh.exceeds, fresh.of_recorded) {
        (Some(_), _) => "EXCEEDS".into(),
        (None, Some(ratio)) => format!("x {ratio:.2}"),
        (None, None) => "none".into(),
    };
    [
        floor.label(),
        floor.positions.to_string(),
        short(floor.nmse_median),
        short(floor.nmse_mean),
        between(fresh.nmse_interval),
        short(floor.nmse_tail),
        short(floor.kld_mean),
        between(fresh.kld_interval),
        short(floor.kld_tail),
        short(floor.max_abs),
        format!("{equal} [{low:.2}, {high:.2}]"),
        record,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::tolerance::book;

    #[test]
    fn every_pair_comes_to_the_worse_and_a_death_hides_no_divergence() {
        let equal = |same| Equal {
            between: ["one", "other"].map(String::from),
            documents: [same, 2],
        };
        let fresh = |exceeds: Option<&str>| Fresh {
            floor: book().floor[0].clone(),
            nmse_interval: None,
            kld_interval: None,
            top1_interval: [0.0, 1.0],
            worst_median: 0.0,
            of_recorded: None,
            exceeds: exceeds.map(String::from),
        };
        let report = |same, exceeds, ended: Outcome| Report {
            measured: book().measured.clone(),
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
