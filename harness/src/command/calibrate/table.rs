//! What `calibrate` prints: every floor with its intervals, and how it stands to the record.
#![forbid(unsafe_code)]

use std::fmt::Write as _;

use crate::oracle::calibrate::Equal;
use crate::oracle::calibrate::floors::{Fresh, unmeasured};

/// The whole output.
pub fn render(fresh: &[Fresh], equal: &[Equal]) -> String {
    let mut text = format!(
        "{:<48}{:>7}  {:>9}{:>9} {:>21}{:>9}{:>9} {:>21}{:>9}{:>8} {:>18}  {}\n",
        "lanes without a fault",
        "pos",
        "NMSE med",
        "mean",
        "95 % by document",
        "tail",
        "KLD mean",
        "95 % by document",
        "tail",
        "max|Δ|",
        "top-1, 95 %",
        "record",
    );
    fresh.iter().for_each(|one| text += &line(one));
    text += "\n";
    for Equal { between, documents } in equal {
        let [one, other] = between;
        let [same, all] = documents;
        let _ = writeln!(
            text,
            "{one} and {other}: {same} of {all} documents bit-identical"
        );
    }
    for apart in unmeasured(fresh) {
        let _ = writeln!(
            text,
            "not measured: {}, which needs a reference",
            apart.words()
        );
    }
    let tails: Vec<_> = fresh.iter().take(1).map(|f| f.floor.tail.name()).collect();
    let _ = writeln!(text, "tails are each the {}", tails.concat());
    for one in fresh {
        if let Some(exceeds) = &one.exceeds {
            let _ = writeln!(text, "EXCEEDS {}: {exceeds}", one.floor.label());
        }
    }
    text
}

fn line(fresh: &Fresh) -> String {
    let floor = &fresh.floor;
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
    format!(
        "{:<48}{:>7}  {:>9.1e}{:>9.1e} {:>21}{:>9.1e}{:>9.1e} {:>21}{:>9.1e}{:>8.0e} {:>18}  {}\n",
        floor.label(),
        floor.positions,
        floor.nmse_median,
        floor.nmse_mean,
        between(fresh.nmse_interval),
        floor.nmse_tail,
        floor.kld_mean,
        between(fresh.kld_interval),
        floor.kld_tail,
        floor.max_abs,
        format!("{equal} [{low:.2}, {high:.2}]"),
        record,
    )
}
