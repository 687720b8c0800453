//! Floors out of what was measured, and how they stand to those on record.

use serde::Serialize;

use super::{Calibration, Pair};
use crate::exit::{Exit, Failure};
use crate::judge::compare::LaneFindings;
use crate::judge::documents::Documents;
use crate::judge::tolerance::{ArithmeticGap, Floor, Gates, Tolerances};
use crate::numbers::metrics::median;
use crate::numbers::statistics::{Spread, Tail};

/// A floor measured now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fresh {
    /// The floor.
    pub floor: Floor,
    /// Where the mean NMSE lies, by document.
    pub nmse_interval: Option<[f64; 2]>,
    /// Where the mean KLD lies, by document.
    pub kld_interval: Option<[f64; 2]>,
    /// Where the share of equal most likely tokens lies.
    pub top1_interval: [f64; 2],
    /// Largest of the documents' own medians of the NMSE.
    pub worst_median: f64,
    /// The mean NMSE over that on record; none if there is none, or it is nothing.
    pub of_recorded: Option<f64>,
    /// The gate on record that it exceeds.
    pub exceeds: Option<String>,
}

/// All floors, beside those of the tolerances.
pub fn fresh(calibration: &Calibration, tolerances: &Tolerances) -> Result<Vec<Fresh>, Failure> {
    let floors = calibration.lanes.iter();
    floors
        .map(|(pair, lanes)| one(pair, lanes, tolerances))
        .collect()
}

fn one(pair: &Pair, lanes: &[LaneFindings], tolerances: &Tolerances) -> Result<Fresh, Failure> {
    let (apart, profiles, path) = pair;
    let broken = || {
        let [one, other] = profiles;
        let message = format!("{one} and {other}: a value is no number");
        Failure::new(Exit::Diverges, message)
    };
    let lanes: Vec<&LaneFindings> = lanes.iter().collect();
    let all = Documents::of(&lanes).ok_or_else(broken)?;
    let seen = lanes.iter().flat_map(|lane| &lane.positions);
    let max_abs: Option<Vec<f64>> = seen.map(|p| p.distance.max_abs).collect();
    let max_abs = max_abs.and_then(|values| Spread::of(&values));
    let floor = Floor {
        apart: *apart,
        profiles: profiles.clone(),
        path: *path,
        positions: all.positions,
        tail: Tail::of(all.positions),
        nmse_median: rounded(all.nmse.median),
        nmse_mean: rounded(all.nmse.mean),
        nmse_tail: rounded(all.nmse.tail),
        kld_mean: rounded(all.kld.mean),
        kld_tail: rounded(all.kld.tail),
        max_abs: rounded(max_abs.ok_or_else(broken)?.tail),
        flips: all.flips,
    };
    let mut recorded = tolerances.floor.iter();
    let recorded = recorded.find(|f| f.label() == floor.label() && f.nmse_mean > 0.0);
    let gates = tolerances.gates(*apart, *path);
    let medians = all.nmse_of.iter().filter_map(|document| median(document));
    Ok(Fresh {
        nmse_interval: tolerances.interval.of_mean(&all.nmse_of),
        kld_interval: tolerances.interval.of_mean(&all.kld_of),
        top1_interval: all.top1_interval(),
        worst_median: medians.fold(0.0, f64::max),
        of_recorded: recorded.map(|r| floor.nmse_mean / r.nmse_mean),
        exceeds: gates.and_then(|gates| exceeded(&floor, &gates)),
        floor,
    })
}

/// The first gate that a floor does not keep.
pub fn exceeded(floor: &Floor, gates: &Gates) -> Option<String> {
    let share = floor.flips as f64 / floor.positions as f64;
    let pairs = [
        ("median NMSE", floor.nmse_median, gates.nmse_median),
        ("mean NMSE", floor.nmse_mean, gates.nmse_mean),
        ("tail of the NMSE", floor.nmse_tail, gates.nmse_tail),
        ("mean KLD", floor.kld_mean, gates.kld_mean),
        ("tail of the KLD", floor.kld_tail, gates.kld_tail),
        ("share of flips", share, gates.flips),
        ("max|Δ|", floor.max_abs, gates.tie),
    ];
    let above = pairs.into_iter().find(|(_, found, gate)| found > gate);
    above.map(|(what, found, gate)| format!("{what} {found:.1e} above its gate {gate:.1e}"))
}

/// The kinds of lanes that were not measured.
pub fn unmeasured(fresh: &[Fresh]) -> Vec<ArithmeticGap> {
    let measured = |apart: &ArithmeticGap| fresh.iter().any(|f| f.floor.apart == *apart);
    let all = ArithmeticGap::MEASURED.into_iter();
    all.filter(|apart| !measured(apart)).collect()
}

/// Three digits, which is more than a floor means.
fn rounded(value: f64) -> f64 {
    let text = format!("{value:.2e}");
    text.parse().expect("it was a number a moment ago")
}
