//! The ladder as the table in README.md, made of `tolerances.toml` alone.

use super::{ArithmeticGap, Floor, Gates, Tolerance, Tolerances};
use crate::case::observation::Lane;

/// The line before the table.
pub const BEGIN: &str = "<!-- made by: harness calibrate --table -->";
/// The line behind it.
pub const END: &str = "<!-- end of the table -->";

/// The ladder, then the floors it stands on.
pub fn markdown(tolerances: &Tolerances) -> String {
    let mut text = String::from(
        "| tier | demands | applies to | median NMSE ≤ | mean | tail | mean KLD ≤ | tail | \
         flips ≤ | a tie < |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for tier in &tolerances.tier {
        let rows = rows(tolerances, tier.name);
        for (i, (label, gates)) in rows.iter().enumerate() {
            let first = i == 0;
            let name = if first {
                format!("`{}`", tier.name.name())
            } else {
                String::new()
            };
            let meaning = if first { &tier.meaning[..] } else { "" };
            text += &format!("| {name} | {meaning} | {label} | {gates} |\n");
        }
    }
    let measured = &tolerances.measured;
    text += &format!(
        "\nMeasured {} by `{}` on `{}` ({}…), {} texts the model wrote:\n\n",
        measured.date,
        measured.command,
        measured.model,
        measured.model_sha256.get(..12).unwrap_or_default(),
        measured.documents,
    );
    text += "| lanes without a fault | positions | median NMSE | mean | tail | mean KLD | tail | \
             max\\|Δ\\| | flips |\n";
    text += "|---|---|---|---|---|---|---|---|---|\n";
    for floor in &tolerances.floor {
        text += &row(floor);
    }
    text
}

/// One row for each kind of lane the tier has gates for; one in words where it has none.
fn rows(tolerances: &Tolerances, tier: Tolerance) -> Vec<(String, String)> {
    if !tier.is_measured() {
        let demand = match tier {
            Tolerance::Exact => "0 | 0 | 0 | 0 | 0 | 0 | –",
            _ => "– | – | – | – | – | – | –",
        };
        return vec![(tolerances.tier(tier).applies.clone(), demand.into())];
    }
    let kinds = ArithmeticGap::MEASURED
        .into_iter()
        .filter(|a| a.tier() == tier);
    let paths = kinds.flat_map(|a| Lane::ALL.map(|lane| (a, lane)));
    // Two ways beside each other have one gate.
    let paths = paths.filter(|(a, lane)| *a != ArithmeticGap::Path || *lane == Lane::Prefill);
    let gates = paths.filter_map(|(a, lane)| Some((a, lane, tolerances.gates(a, lane)?)));
    gates
        .map(|(apart, lane, gates)| (label(apart, lane), cells(&gates)))
        .collect()
}

fn label(apart: ArithmeticGap, lane: Lane) -> String {
    match apart {
        ArithmeticGap::Path => "prefill against decode".into(),
        _ => format!("{}, {}", apart.words(), lane.name()),
    }
}

fn cells(gates: &Gates) -> String {
    let numbers = [
        gates.nmse_median,
        gates.nmse_mean,
        gates.nmse_tail,
        gates.kld_mean,
        gates.kld_tail,
        gates.flips,
        gates.tie,
    ];
    numbers.map(|n| format!("{n:.1e}")).join(" | ")
}

fn row(floor: &Floor) -> String {
    let numbers = [
        floor.nmse_median,
        floor.nmse_mean,
        floor.nmse_tail,
        floor.kld_mean,
        floor.kld_tail,
        floor.max_abs,
    ];
    let numbers = numbers.map(|n| format!("{n:.1e}")).join(" | ");
    format!(
        "| {} | {} | {numbers} | {} |\n",
        floor.label(),
        floor.positions,
        floor.flips
    )
}

/// A text with the table between its two lines made again; none if a line is missing.
pub fn replaced(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}{END}{after}"))
}
