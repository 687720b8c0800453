//! What was found, as a table for people.
#![forbid(unsafe_code)]

use super::examine::{Excused, First, Outcome, Row};

/// One line a kernel, with what needs words below it. `replay` is the command that asks one
/// question of one kernel again.
pub fn render(rows: &[Row], replay: impl Fn(&str, usize) -> String) -> String {
    let mut text = format!(
        "{:<17}{:>6}{:>11}{:>11}{:>9}{:>8}\n",
        "kernel", "cases", "values", "equal", "excused", "differ"
    );
    for row in rows {
        text += &line(row);
        for (name, excused) in &row.excused {
            text += &excuse(name, excused, &replay(row.kernel, excused.case));
        }
        if let Some(first) = &row.first {
            text += &difference(first, &replay(row.kernel, first.case));
        }
    }
    text
}

fn line(row: &Row) -> String {
    let Row {
        kernel: name,
        cases,
        values,
        equal,
        ..
    } = row;
    match &row.outcome {
        Outcome::NotThere(why) => return format!("{name:<17}not asked: {why}\n"),
        Outcome::Refused(why) | Outcome::Died(why) => {
            return format!("{name:<17}LOST after {cases} cases: {why}\n");
        }
        Outcome::EngineDied(why) => {
            return format!("{name:<17}THE ENGINE DIED after {cases} cases: {why}\n");
        }
        Outcome::Agrees | Outcome::Differs => {}
    }
    let excused = row.excused();
    let differ = values - equal - excused;
    let note = match row.judged || differ == 0 {
        true => "",
        false => "  measured, not judged",
    };
    format!("{name:<17}{cases:>6}{values:>11}{equal:>11}{excused:>9}{differ:>8}{note}\n")
}

fn excuse(name: &str, excused: &Excused, replay: &str) -> String {
    let Excused { count, because, .. } = excused;
    let times = if *count == 1 { "once" } else { "times, first" };
    let count = if *count == 1 {
        String::new()
    } else {
        format!("{count} ")
    };
    format!("  excused, {name} {count}{times}: {because}\n    {replay}\n")
}

fn difference(first: &First, replay: &str) -> String {
    let First {
        case,
        about,
        asked,
        shrunk_to,
        inputs,
        difference,
        packing,
    } = first;
    let packing = packing.map_or(String::new(), |name| {
        format!("    the reference packs as {name}; published files are in i2_s-p128\n")
    });
    format!(
        "  DIFFERS in case {case} ({about}), {asked}\n    \
         the smallest: {shrunk_to}, not zero: {inputs}\n    \
         {}: reference {}, ours {}\n{packing}    {replay}\n",
        difference.place, difference.theirs, difference.ours
    )
}
