//! What `--write` puts into `tolerances.toml`: everything below its last comment.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::exit::Failure;
use crate::judge::tolerance::book::{Book, FILE, Floor, Measured};

/// The line behind which everything is replaced.
const LINE: &str = "# Below: written by `harness calibrate --write`.\n";

/// The file with other floors; it is read back before anybody gets it.
pub fn rewritten(text: &str, measured: &Measured, floors: &[Floor]) -> Result<String, Failure> {
    let (kept, _) = text
        .split_once(LINE)
        .ok_or_else(|| Failure::input(format!("{FILE} has no line {LINE:?}")))?;
    let mut text = format!("{kept}{LINE}");
    let _ = write!(
        text,
        "\n[measured]\ndate = {:?}\nmodel = {:?}\nmodel_sha256 = {:?}\ndocuments = {}\n\
         command = {:?}\nwitnesses = [\n",
        measured.date, measured.model, measured.model_sha256, measured.documents, measured.command
    );
    for witness in &measured.witnesses {
        let _ = writeln!(text, "    {witness:?},");
    }
    text += "]\n";
    floors.iter().for_each(|floor| text += &table(floor));
    Book::parse(&text)?;
    Ok(text)
}

fn table(floor: &Floor) -> String {
    format!(
        "\n[[floor]]\napart = {}\nprofiles = {:?}\npath = {}\npositions = {}\ntail = {}\n\
         nmse_median = {:e}\nnmse_mean = {:e}\nnmse_tail = {:e}\nkld_mean = {:e}\n\
         kld_tail = {:e}\nmax_abs = {:e}\nflips = {}\n",
        word(floor.apart),
        floor.profiles,
        word(floor.path),
        floor.positions,
        word(floor.tail),
        floor.nmse_median,
        floor.nmse_mean,
        floor.nmse_tail,
        floor.kld_mean,
        floor.kld_tail,
        floor.max_abs,
        floor.flips
    )
}

/// An enum as TOML and JSON alike have it: its name in quotes.
fn word(value: impl Serialize) -> String {
    serde_json::to_string(&value).expect("plain enum")
}

/// The day in UTC, as 2026-11-21.
pub fn today() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    day(since.unwrap_or(Duration::ZERO).as_secs() / 86_400)
}

/// A day as a date, counted from the first of 1970. Years begin in March here, so that the day
/// that not every year has is the last one.
fn day(since_1970: u64) -> String {
    let since_march_0000 = since_1970 + 719_468;
    let (era, day_of_era) = (since_march_0000 / 146_097, since_march_0000 % 146_097);
    let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days.min(day_of_era)) / 365;
    let before = 365 * year_of_era + year_of_era / 4 - year_of_era / 100;
    let day_of_year = day_of_era - before;
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!("{:04}-{month:02}-{day:02}", 400 * era + year_of_era + next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::tolerance::book::{TEXT, book};

    #[test]
    fn what_is_on_record_is_written_as_it_stands_there() {
        let book = book();
        let again = rewritten(TEXT, &book.measured, &book.floor).expect("a ladder");
        assert!(again == TEXT, "{again}");
        let (_, but_one) = book.floor.split_last().expect("floors");
        let refused = rewritten(TEXT, &book.measured, but_one).expect_err("a gap");
        assert!(refused.message.contains("has no floor"), "{refused}");
        let refused = rewritten("schema = 1", &book.measured, &book.floor).expect_err("no line");
        assert!(refused.message.contains("has no line"), "{refused}");
    }

    #[test]
    fn days_are_dates() {
        for (since, date) in [
            (0, "1970-01-01"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (20_513, "2026-03-01"),
            (20_778, "2026-11-21"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
        ] {
            assert_eq!(day(since), date);
        }
    }
}
