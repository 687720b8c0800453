//! What was attributed as a table for a person, in the order of a pass.
#![forbid(unsafe_code)]

use std::fmt::Write as _;

use super::run::Whose;
use super::{Attribution, Row};
use crate::judge::tolerance::local::Rung;

/// Which rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Modules whose two versions differ.
    Differing,
    /// Every module.
    All,
}

/// Rows whose place is marked.
const MARKED: usize = 3;

/// The table, then the summary.
pub fn render(found: &Attribution, rows: Rows) -> String {
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
    let shown = |row: &&Row| rows == Rows::All || !row.error.is_nothing();
    let rows: Vec<_> = found.rows.iter().filter(shown).collect();
    if !rows.is_empty() {
        put(&mut text, &head());
    }
    for row in rows {
        put(&mut text, &line(row));
    }
    text.push_str(&summary(found));
    text
}

fn head() -> String {
    format!(
        "      {:<30} {:<28} {:>8} {:>8} {:>8} {:>8} {:>8} {:>6} {:>7} {:>7}",
        "module",
        "output",
        "differ",
        "error",
        "KL mean",
        "KL max",
        "NMSE",
        "flips",
        "x noise",
        "share"
    )
}

fn line(row: &Row) -> String {
    let mark = match row.rank {
        Some(rank) if rank <= MARKED => format!("({rank})"),
        _ => String::new(),
    };
    let ratio = row
        .beyond_noise
        .map_or("-".into(), |ratio| format!("{ratio:.1}"));
    let share = match row.share {
        None => "-".into(),
        Some(0.0) => "0".into(),
        Some(share) => format!("{:.1} %", 100.0 * share),
    };
    format!(
        "{mark:<5} {:<30} {:<28} {:>8} {:>8} {:>8} {:>8} {:>8} {:>6} {ratio:>7} {share:>7}",
        row.module.name,
        row.module.output,
        row.error.differing,
        number(row.error.nmse),
        number(row.effect.kl_mean),
        number(row.effect.kl_max),
        number(row.effect.nmse_max),
        row.effect.top1_flips,
    )
}

fn number(value: Option<f64>) -> String {
    match value {
        None => "none".into(),
        Some(0.0) => "0".into(),
        Some(value) => format!("{value:.1e}"),
    }
}

fn summary(found: &Attribution) -> String {
    let mut text = String::new();
    let differing = found
        .rows
        .iter()
        .filter(|row| !row.error.is_nothing())
        .count();
    let modules = found.rows.len();
    let line = format!(
        "modules {modules}: {differing} differ on the reference's inputs; no-swap controls {}/{} \
         exactly 0",
        found.controls, modules
    );
    put(&mut text, &line);
    let full = &found.full;
    let mut line = format!(
        "sum of the modules alone {}, both sides apart: KL {}, at most {}, {} of {} top-1 flips",
        number(found.sum),
        number(full.kl_mean),
        number(full.kl_max),
        full.top1_flips,
        full.positions
    );
    if let Some(additivity) = found.additivity {
        write!(line, "; the sum is {additivity:.2} of it").expect("strings take all");
    }
    put(&mut text, &line);
    let verdict = match (&found.named, found.rung) {
        (Some(named), _) => format!("NAMED {}: {}", named.module, named.because),
        (None, _) if differing == 0 => "nobody is named: every module is the same, 0 bits".into(),
        (None, Rung::HalfSums) => {
            "nobody is named: sums in half precision are measured only".into()
        }
        (None, _) => "nobody is named: no module alone does more than two arithmetics do".into(),
    };
    put(&mut text, &verdict);
    text
}

fn put(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a string cannot fail");
}
