//! What became of the faults as tables for a person.

use super::clean::Alarm;
use super::{Fault, Trial, gate};
use crate::io::table::{Table, number, words};

/// The names of faults and the nodes they are planted in.
pub fn list(faults: &[&Fault], width: Option<usize>) -> String {
    let mut table = Table::new(&[words("fault"), words("expected node")]);
    for fault in faults {
        table.row([fault.name, fault.expected_node.unwrap_or("-")]);
    }
    table.render(width)
}

/// A row for each fault, a row for each gate, the counts and the alarms.
pub fn render(
    trials: &[Trial],
    clean_runs: usize,
    alarms: &[Alarm],
    width: Option<usize>,
) -> String {
    let located = trials.iter().filter(|t| t.located == Some(true)).count();
    let numeric = trials.iter().filter(|t| t.expected_node.is_some()).count();
    let mut text = format!(
        "{}\n{}\n{} of {} faults caught, {located} of {numeric} faults of numbers located\n\
         {} alarms in {clean_runs} clean runs\n",
        of_faults(trials).render(width),
        of_gates(trials).render(width),
        trials.iter().filter(|t| t.caught).count(),
        trials.len(),
        alarms.len(),
    );
    for Alarm { run, what } in alarms {
        text.push_str(&format!("ALARM run {run}, {what}\n"));
    }
    text
}

fn of_faults(trials: &[Trial]) -> Table {
    let mut table = Table::new(&[
        words("fault"),
        words("caught"),
        words("located"),
        words("by"),
        number("1-cos"),
        number("KL"),
        number("NMSE"),
        number("ULP"),
        number("equal"),
        words("gates"),
        words("first node"),
    ]);
    let short = |value: Option<f64>| value.map_or_else(|| "-".into(), |v| format!("{v:.0e}"));
    for trial in trials {
        let effect = &trial.effect;
        let located = trial.located.map_or("-", yes);
        let equal = 100.0 * effect.bit_equal as f64 / effect.logits.max(1) as f64;
        table.row([
            trial.name.to_owned(),
            yes(trial.caught).to_owned(),
            located.to_owned(),
            trial.by.clone().unwrap_or_else(|| "-".into()),
            short(effect.cosine_last.map(|c| 1.0 - c)),
            short(effect.kl_max),
            short(effect.nmse_max),
            effect.ulp_max.map_or_else(|| "-".into(), |u| u.to_string()),
            if effect.logits > 0 {
                format!("{equal:.1}%")
            } else {
                "-".into()
            },
            seeing(trial),
            effect.first_node.clone().unwrap_or_else(|| "-".into()),
        ]);
    }
    table
}

fn yes(yes: bool) -> &'static str {
    if yes { "yes" } else { "NO" }
}

/// The numbers of the gates that see a fault, a dot for each that does not.
fn seeing(trial: &Trial) -> String {
    let sees = |(number, gate): (usize, &str)| {
        if trial.effect.passes.contains(&gate) {
            ".".to_owned()
        } else {
            number.to_string()
        }
    };
    gate::names().enumerate().map(sees).collect()
}

/// How many faults each gate sees, and how many the comparison of `crossval` does.
fn of_gates(trials: &[Trial]) -> Table {
    let mut table = Table::new(&[
        number(""),
        words("which gate sees how many"),
        number("faults"),
        number("of numbers"),
    ]);
    let count = |sees: &dyn Fn(&Trial) -> bool| {
        let seen = || trials.iter().filter(|trial| sees(trial));
        let numeric = seen().filter(|trial| trial.expected_node.is_some());
        [seen().count(), numeric.count()].map(|count| count.to_string())
    };
    let mut row = |number: String, name: &str, [all, numeric]: [String; 2]| {
        table.row([number, name.to_owned(), all, numeric]);
    };
    row(String::new(), "all", count(&|_| true));
    for (number, name) in gate::names().enumerate() {
        let seen = count(&|trial| !trial.effect.passes.contains(&name));
        row(number.to_string(), name, seen);
    }
    let crossval = "crossval: ids, nodes, logits, coverage";
    row(String::new(), crossval, count(&|trial| trial.caught));
    table
}
