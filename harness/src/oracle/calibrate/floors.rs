//! Floors out of what was measured, and how they stand to those on record.

use serde::Serialize;

use super::{Calibration, Pair};
use crate::exit::{Exit, Failure};
use crate::judge::compare::LaneFindings;
use crate::judge::tolerance::{ArithmeticGap, Book, Floor, Gates};
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

/// All floors, beside those of the book.
pub fn fresh(calibration: &Calibration, book: &Book) -> Result<Vec<Fresh>, Failure> {
    let floors = calibration.lanes.iter();
    floors.map(|(pair, lanes)| one(pair, lanes, book)).collect()
}

fn one(pair: &Pair, lanes: &[LaneFindings], book: &Book) -> Result<Fresh, Failure> {
    let (apart, profiles, path) = pair;
    let broken = || {
        Failure::new(
            Exit::Diverges,
            format!("{} and {}: a value is no number", profiles[0], profiles[1]),
        )
    };
    let all = |part: fn(&LaneFindings) -> Option<Vec<f64>>| -> Result<Vec<Vec<f64>>, Failure> {
        let parts: Option<Vec<_>> = lanes.iter().map(part).collect();
        parts.ok_or_else(broken)
    };
    let (nmse, kld) = (all(LaneFindings::nmse)?, all(LaneFindings::kl)?);
    let max_abs = all(|lane| lane.positions.iter().map(|p| p.distance.max_abs).collect())?;
    let spread = |values: &[Vec<f64>]| Spread::of(&values.concat()).ok_or_else(broken);
    let (of_nmse, of_kld, of_max) = (spread(&nmse)?, spread(&kld)?, spread(&max_abs)?);
    let positions = nmse.iter().map(Vec::len).sum();
    let flips: usize = lanes.iter().map(LaneFindings::flips).sum();
    let floor = Floor {
        apart: *apart,
        profiles: profiles.clone(),
        path: *path,
        positions,
        tail: Tail::of(positions),
        nmse_median: rounded(of_nmse.median),
        nmse_mean: rounded(of_nmse.mean),
        nmse_tail: rounded(of_nmse.tail),
        kld_mean: rounded(of_kld.mean),
        kld_tail: rounded(of_kld.tail),
        max_abs: rounded(of_max.tail),
        flips,
    };
    let mut recorded = book.floor.iter();
    let recorded = recorded.find(|f| f.label() == floor.label() && f.nmse_mean > 0.0);
    let gates = book.gates(*apart, *path);
    Ok(Fresh {
        nmse_interval: book.interval.of_mean(&nmse),
        kld_interval: book.interval.of_mean(&kld),
        top1_interval: book.interval.of_share(positions - flips, positions),
        worst_median: nmse.iter().filter_map(|d| median(d)).fold(0.0, f64::max),
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
