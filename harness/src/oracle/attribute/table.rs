//! What was attributed as a table for a person, in the order of a pass.

use super::run::Whose;
use super::{Attribution, Row};
use crate::io::table::{Table, number, scientific, words};
use crate::judge::tolerance::local::Rung;

/// Rows whose place is marked.
const MARKED: usize = 3;

/// The table of what differs or of everything, then the summary.
pub fn render(found: &Attribution, all: bool, width: Option<usize>) -> String {
    let what = match found.run {
        Whose::Reference => "the engine's modules in the reference's run",
        Whose::Engine => "the reference's modules in the engine's run",
    };
    let mut text = format!(
        "{} against the engine in {}, rung {}: {what}\n",
        found.reference,
        found.profile,
        found.rung.name()
    );
    let mut table = Table::new(&[
        words(""),
        words("module"),
        words("output"),
        number("differ"),
        number("error"),
        number("KL mean"),
        number("KL max"),
        number("NMSE"),
        number("flips"),
        number("x noise"),
        number("share"),
    ]);
    for row in &found.rows {
        if all || !row.error.is_identical() {
            table.row(cells(row));
        }
    }
    if !table.is_empty() {
        text.push_str(&table.render(width));
    }
    text.push_str(&summary(found));
    text
}

fn cells(row: &Row) -> [String; 11] {
    let marked = row.rank.filter(|&rank| rank <= MARKED);
    let share = match row.share {
        None => "-".into(),
        Some(0.0) => "0".into(),
        Some(share) => format!("{:.1} %", 100.0 * share),
    };
    [
        marked.map_or_else(String::new, |rank| format!("({rank})")),
        row.module.name.clone(),
        row.module.output.clone(),
        row.error.differing.to_string(),
        scientific(row.error.nmse),
        scientific(row.effect.kl_mean),
        scientific(row.effect.kl_max),
        scientific(row.effect.nmse_max),
        row.effect.top1_flips.to_string(),
        row.beyond_noise
            .map_or_else(|| "-".into(), |ratio| format!("{ratio:.1}")),
        share,
    ]
}

fn summary(found: &Attribution) -> String {
    let differing = found.rows.iter().filter(|row| !row.error.is_identical());
    let (modules, differing) = (found.rows.len(), differing.count());
    let full = &found.full;
    let additivity = found.additivity.map_or_else(String::new, |additivity| {
        format!("; the sum is {additivity:.2} of it")
    });
    let verdict = match (&found.named, found.rung) {
        (Some(named), _) => format!("NAMED {}: {}", named.module, named.because),
        (None, _) if differing == 0 => {
            "no module is named: every module is the same, 0 bits".into()
        }
        (None, Rung::HalfSums) => {
            "no module is named: sums in half precision are measured only".into()
        }
        (None, _) => "no module is named: none alone does more than two arithmetics do".into(),
    };
    format!(
        "modules {modules}: {differing} differ on the reference's inputs; no-swap controls {}/{} \
         exactly 0\nsum of the modules alone {}, both sides apart: KL {}, at most {}, {} of {} \
         top-1 flips{additivity}\n{verdict}\n",
        found.controls,
        modules,
        scientific(found.sum),
        scientific(full.kl_mean),
        scientific(full.kl_max),
        full.top1_flips,
        full.positions
    )
}
