//! What was found, for people: a line for each kernel, and what needs words below.

use super::examine::{Ending, First, Row};
use super::{Recalled, Report};
use crate::io::look::is_verbose;
use crate::io::table::{Table, number, words};
use crate::judge::excuse::Excused;
use crate::judge::outcome::Outcome;
use crate::runner::kernels::question::Difference;

/// Everything, reference after reference, in so many columns.
pub(crate) fn report(report: &Report, width: Option<usize>) -> String {
    let references = report.references.iter();
    let texts = references.map(|examined| {
        let (name, profile) = (&examined.reference.name, examined.profile);
        let text = render(&examined.kernels, &examined.again, width);
        format!("{name} ({profile})\n{text}; {:.1} s\n\n", examined.seconds)
    });
    let recorded = report
        .recorded
        .iter()
        .map(|one| recalled(one, report.seed, width));
    texts.chain(recorded).collect()
}

/// What stood in for a reference: a line where all agrees, unless every row is asked for.
fn recalled(one: &Recalled, seed: u64, width: Option<usize>) -> String {
    let (profile, kernel) = (one.profile, one.kernel);
    let name = match &one.library {
        Some(library) => format!("record of {library} ({profile}), {kernel}"),
        None => format!("{profile}, {kernel} beside scalar"),
    };
    if super::outcome(&one.kernels) == Outcome::Ok && !is_verbose() {
        let mut excused = Excused::default();
        let rows = one.kernels.iter();
        rows.for_each(|row| excused.extend(&row.excused, ""));
        return format!("{name}: {}\n", summary(&one.kernels, &excused));
    }
    let again = match &one.library {
        Some(library) => {
            format!("harness kernels --reference {library} --kernel {kernel} --seed {seed}")
        }
        None => format!("harness kernels --kernel {kernel}"),
    };
    format!("{name}\n{}\n\n", render(&one.kernels, &again, width))
}

/// What became of one reference's kernels. `again` is the command that asks it, up to the question.
pub fn render(rows: &[Row], again: &str, width: Option<usize>) -> String {
    let differences = rows.iter().filter_map(|row| {
        let first = row.first.as_ref()?;
        Some(difference(&row.kernel, first, again))
    });
    let differences: String = differences.collect();
    let mut excused = Excused::default();
    rows.iter()
        .for_each(|row| excused.extend(&row.excused, again));
    let table = kernels(rows).render(width);
    let (excuses, summary) = (excused.render(width), summary(rows, &excused));
    format!("{table}{differences}{excuses}{summary}")
}

fn kernels(rows: &[Row]) -> Table {
    fn count(row: &Row, count: usize) -> String {
        match row.ending {
            Ending::NotThere(_) => String::new(),
            _ => count.to_string(),
        }
    }
    Table::of(
        rows,
        &[
            (words("kernel"), |row| row.kernel.clone()),
            (number("cases"), |row| count(row, row.cases)),
            (number("values"), |row| count(row, row.values)),
            (number("equal"), |row| count(row, row.equal)),
            (number("excused"), |row| {
                count(row, row.excused.total() as usize)
            }),
            (number("differ"), |row| count(row, row.differ)),
            (words("note"), note),
        ],
    )
}

fn note(row: &Row) -> String {
    let ending = match &row.ending {
        Ending::NotThere(why) => format!("not asked: {why}"),
        Ending::Refused(why) | Ending::Died(why) => format!("LOST: {why}"),
        Ending::EngineDied(why) => format!("THE ENGINE DIED: {why}"),
        Ending::Complete => String::new(),
    };
    let differs = match (row.differ, row.judged) {
        (0, _) => "",
        (_, true) => "DIFFERS",
        (_, false) => "measured, not judged",
    };
    let notes = [differs, &ending]
        .into_iter()
        .filter(|note| !note.is_empty());
    notes.collect::<Vec<_>>().join("; ")
}

fn difference(kernel: &str, first: &First, again: &str) -> String {
    let First { case, about, .. } = first;
    let (asked, shrunk, inputs) = (&first.asked, &first.shrunk_to, &first.inputs);
    let Difference {
        place,
        theirs,
        ours,
    } = &first.difference;
    let packing = first.packing.map_or(String::new(), |name| {
        format!("    the reference packs as {name}; published files are in i2_s-p128\n")
    });
    format!(
        "{kernel} differs in case {case} ({about}), {asked}\n    \
         the smallest: {shrunk}, not zero: {inputs}\n    \
         {place}: reference {theirs}, ours {ours}\n{packing}    \
         again: {again} --only {kernel} --case {case}\n"
    )
}

fn summary(rows: &[Row], excused: &Excused) -> String {
    let count = |wanted: fn(&Row) -> bool| rows.iter().filter(|row| wanted(row)).count();
    let sum = |number: fn(&Row) -> usize| rows.iter().map(number).sum::<usize>();
    format!(
        "{} of {} values equal, {} excused by name; {} kernels agree, {} differ, {} differ and are \
         not judged, {} not asked, {} lost",
        sum(|row| row.equal),
        sum(|row| row.values),
        excused.total(),
        count(|row| row.ending == Ending::Complete && row.differ == 0),
        count(|row| row.differ > 0 && row.judged),
        count(|row| row.differ > 0 && !row.judged),
        count(|row| matches!(row.ending, Ending::NotThere(_))),
        count(is_lost),
    )
}

fn is_lost(row: &Row) -> bool {
    !matches!(row.ending, Ending::Complete | Ending::NotThere(_))
}
