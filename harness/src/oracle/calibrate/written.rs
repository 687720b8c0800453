//! What `--write` puts into `tolerances.toml`: everything below its last comment.

use std::fmt::Write as _;
use std::time::SystemTime;

use serde::Serialize;

use crate::exit::Failure;
use crate::judge::tolerance::file::{FILE, Floor, Measured, Tolerances};

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
    Tolerances::parse(&text)?;
    Ok(text)
}

/// Not by the writer of `toml`, which has no powers of ten: 0.0000000000000103.
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
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    now.split_once('T')
        .map_or(now.clone(), |(day, _)| day.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::tolerance::file::{TEXT, tolerances};

    #[test]
    fn what_is_on_record_is_written_as_it_stands_there() {
        let tolerances = tolerances();
        let again = rewritten(TEXT, &tolerances.measured, &tolerances.floor).expect("a ladder");
        assert!(again == TEXT, "{again}");
        let (_, but_one) = tolerances.floor.split_last().expect("floors");
        let refused = rewritten(TEXT, &tolerances.measured, but_one).expect_err("a gap");
        assert!(refused.message.contains("has no floor"), "{refused}");
        let refused =
            rewritten("schema = 1", &tolerances.measured, &tolerances.floor).expect_err("no line");
        assert!(refused.message.contains("has no line"), "{refused}");
    }
}
