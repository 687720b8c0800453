//! `harness accept`: pending recordings taken in, each with its reason; and of a receipt, what
//! diverges and the entry that makes it known, with its reason and a bound.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::case::pattern;
use crate::command::finish::finish;
use crate::command::flags::Json;
use crate::command::pending::{self, Waiting};
use crate::command::receipt::receipt;
use crate::exit::{Exit, Failure};
use crate::io::atomic;
use crate::judge::compare::Findings;
use crate::judge::known_divergences::{Bound, FILE, Ledger};
use crate::judge::outcome::Outcome;
use crate::judge::verdict::Verdict;
use crate::receipt::{Receipt, explanation_lines};
use crate::runner::suite::Suite;

const HELP: &str = "\
Examples:
  harness accept --reason 'bitnet.cpp rounds otherwise since 2027' # exits 2: no recording waits
  harness accept receipt.json --dry-run --reason 'it rounds half away from zero' # exits 2: nothing

Without a receipt: the pending recordings that `harness review` shows take the places of those that
are committed, and new ones are listed in cases.json; the reason is kept in the recording. One that
was compared with something else than what is committed now is stale and refused.

With a receipt of the built-in engine: the entries of those divergences that --case and --reference
name are written into known_divergences.toml. The bound is twice the largest NMSE that was measured,
and the continuation may part where it did. An entry fails the run as soon as it excuses nothing any
more, so that it is kept no longer than it is needed. A divergence of token ids, or a value that is
no number, has no bound and is not accepted.";

/// How much further than today a known divergence may go.
const MARGIN: f64 = 2.0;

/// Take in pending recordings or, of a receipt, divergences: each with its reason
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The receipt
    #[arg(conflicts_with = "recording")]
    receipt: Option<PathBuf>,

    /// Divergences of the cases of that name only: whole, a part of it, or with * for any letters
    #[arg(long, value_name = "NAME", requires = "receipt")]
    case: Vec<String>,

    /// Divergences from that reference or recording only
    #[arg(long, value_name = "NAME", requires = "receipt")]
    reference: Option<String>,

    #[command(flatten)]
    waiting: Waiting,

    /// What causes it, and why it is right
    #[arg(long, value_name = "TEXT")]
    reason: String,

    /// Print what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    json: Json,
}

/// A divergence, and the entry that would excuse it.
#[derive(Debug, Clone, Serialize)]
pub struct Offer {
    case: String,
    reference: String,
    /// How far it goes; none where nothing bounds it.
    bound: Option<Bound>,
    /// What differs, in words.
    lines: Vec<String>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let reason = args.reason.trim();
    if reason.is_empty() {
        return Err(Failure::input(
            "--reason says what causes it; it must not be empty",
        ));
    }
    let Some(path) = &args.receipt else {
        return pending::accept(&args.waiting, reason, args.dry_run, &args.json);
    };
    args.json.beside([("the receipt", path.as_path())])?;
    let mut offers = offers(&receipt(path)?)?;
    let names: Vec<String> = offers.iter().map(|offer| offer.case.clone()).collect();
    if !args.case.is_empty() {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let wanted = pattern::select(&names, &args.case, "diverging case")?;
        offers.retain(|offer| wanted.contains(&offer.case[..]));
    }
    let named = |offer: &Offer| {
        args.reference
            .as_ref()
            .is_none_or(|r| *r == offer.reference)
    };
    offers.retain(named);
    if offers.is_empty() {
        return Err(Failure::input("nothing of that diverges in this receipt"));
    }
    let folder = args.waiting.fixtures.map_or_else(Suite::folder_here, Ok)?;
    let entries = offers.iter().map(|offer| offer.entry(reason));
    let entries: Vec<String> = entries.collect::<Result<_, _>>()?;
    let path = folder.join(FILE);
    if !args.dry_run {
        append(&path, &entries)?;
    }
    let verb = if args.dry_run {
        "would be written to"
    } else {
        "written to"
    };
    let text = format!("{}\n{verb} {}\n", entries.join("\n"), path.display());
    finish(Outcome::Ok, &text, &offers, &args.json)
}

/// Every comparison with a reference that diverges in the receipt.
pub fn offers(receipt: &Receipt) -> Result<Vec<Offer>, Failure> {
    let mut offers = Vec::new();
    for case in &receipt.cases {
        if case.claims.engine.identity.brought().is_some() {
            let message = "the list of known divergences is about the built-in engine; another \
                           one has tolerances of its own: --tolerances";
            return Err(Failure::input(message));
        }
        for (comparison, found) in case.compared() {
            if matches!(comparison.verdict, Verdict::Diverge { .. }) {
                offers.push(Offer {
                    case: case.claims.case.clone(),
                    reference: comparison.reference.name.clone(),
                    bound: found.and_then(bound),
                    lines: explanation_lines(receipt, case, comparison, found),
                });
            }
        }
    }
    Ok(offers)
}

/// The smallest round bound that holds with a margin.
fn bound(findings: &Findings) -> Option<Bound> {
    let positions = findings.lanes.iter().flat_map(|lane| &lane.positions);
    let distances = positions.map(|position| &position.distance);
    let distances = distances.chain(findings.nodes.compared.iter().map(|node| &node.distance));
    let largest: Option<Vec<f64>> = distances.map(|distance| distance.nmse).collect();
    let largest = largest?.into_iter().fold(0.0, f64::max);
    let parting = findings.greedy.first_divergence.as_ref();
    let bound = Bound {
        nmse: round_up(largest * MARGIN),
        greedy_from: parting.map(|parting| parting.step),
    };
    bound.exceeded_by(findings).is_none().then_some(bound)
}

/// The next number with one digit.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 0.0;
    }
    let number = |text: &str| text.parse::<f64>().expect("it was a number");
    let nearest = format!("{value:.0e}");
    if number(&nearest) >= value {
        return number(&nearest);
    }
    let (digit, exponent) = nearest.split_once('e').expect("it was written so");
    number(&format!("{}e{exponent}", number(digit) + 1.0))
}

impl Offer {
    /// As it stands in the list.
    pub fn entry(&self, reason: &str) -> Result<String, Failure> {
        let Some(bound) = self.bound else {
            return Err(Failure::input(format!(
                "{} with {} has no bound: {}",
                self.case,
                self.reference,
                self.lines.join("; ")
            )));
        };
        // What JSON calls a string, TOML does, too.
        let quoted = |text: &str| serde_json::to_string(text).expect("text");
        let greedy = bound
            .greedy_from
            .map(|from| format!(", greedy_from = {from}"));
        Ok(format!(
            "[[divergence]]\ncase = {}\nreference = {}\nreason = {}\nbound = {{ nmse = {:e}{} }}\n",
            quoted(&self.case),
            quoted(&self.reference),
            quoted(reason),
            bound.nmse,
            greedy.unwrap_or_default(),
        ))
    }

    /// What differs, then the entry.
    fn text(&self) -> String {
        let entry = self.entry("…").unwrap_or_else(|why| format!("{why}\n"));
        format!("{}\n\n{entry}", self.lines.join("\n"))
    }
}

/// Adds them to the list, which must be sound afterwards.
fn append(path: &Path, entries: &[String]) -> Result<(), Failure> {
    let there = if path.exists() {
        std::fs::read_to_string(path)
    } else {
        Ok(String::new())
    };
    let there = there.map_err(|e| Failure::environment(format!("{}: {e}", path.display())))?;
    let list = entries.iter().fold(there, |list, entry| {
        let gap = if list.is_empty() { "" } else { "\n" };
        list + gap + entry
    });
    Ledger::parse(&list)?;
    atomic::write(path, list.as_bytes()).map_err(Failure::environment)
}

/// What `accept` would write, and what it is about.
pub fn review(receipt: &Receipt, json: &Json) -> Result<Exit, Failure> {
    let offers = offers(receipt)?;
    let texts: Vec<String> = offers.iter().map(Offer::text).collect();
    let text = if texts.is_empty() {
        "nothing diverges in this receipt\n".to_owned()
    } else {
        let next = "next: harness accept RECEIPT --case NAME --reference NAME --reason TEXT\n";
        format!("{}\n{next}", texts.join("\n"))
    };
    let outcome = if offers.is_empty() {
        Outcome::Ok
    } else {
        Outcome::Divergence
    };
    finish(outcome, &text, &offers, json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_a_round_number_above_what_was_measured() {
        let cases = [
            (0.0, 0.0),
            (1.2e-7, 2e-7),
            (1.7e-7, 2e-7),
            (9.1e-3, 1e-2),
            (9.6e-3, 1e-2),
            (3e-5, 3e-5),
            (7.0, 7.0),
        ];
        for (value, rounded) in cases {
            assert_eq!(round_up(value), rounded, "{value}");
        }
    }

    #[test]
    fn an_entry_is_one_that_the_list_takes_back() {
        let offer = Offer {
            case: "a".into(),
            reference: "ik".into(),
            bound: Some(Bound {
                nmse: 2e-4,
                greedy_from: Some(3),
            }),
            lines: Vec::new(),
        };
        let entry = offer.entry("it says \"no\"\n\u{1}").expect("bounded");
        let list = Ledger::parse(&entry).expect("sound");
        assert_eq!(list.entries[0].bound, offer.bound.expect("there"));
        assert_eq!(list.entries[0].reason, "it says \"no\"\n\u{1}");
        let endless = Offer {
            bound: None,
            ..offer
        };
        assert!(endless.entry("why").is_err());
    }
}
