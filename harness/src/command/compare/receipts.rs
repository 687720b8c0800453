//! Two receipts: which claims changed, what was covered otherwise, and where they were made.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::Args;
use crate::command::receipt::{claim_differences, receipt};
use crate::exit::{Exit, Failure};
use crate::judge::outcome::Outcome;
use crate::receipt::Receipt;
use crate::receipt::diff::{Difference, differences};

/// What is not the same, by what follows from it.
#[derive(Serialize)]
struct Compared {
    /// What is asserted: a change of it fails.
    claims: Vec<Difference>,
    /// How much was compared: a change of it fails.
    coverage: Vec<Difference>,
    /// Machine, references, files, threads: told, and nothing else.
    environment: Vec<Difference>,
}

/// Compares two files.
pub fn run(args: &Args, files: [&Path; 2]) -> Result<Exit, Failure> {
    let [left, right] = [receipt(files[0])?, receipt(files[1])?];
    let compared = Compared {
        claims: claim_differences(&left, &right),
        coverage: differences("coverage", &covered(&left), &covered(&right)),
        environment: differences("", &environment(&left), &environment(&right)),
    };
    let changed = !compared.claims.is_empty() || !compared.coverage.is_empty();
    let outcome = Outcome::of(&[(changed, Outcome::Divergence)], None);
    args.finish(outcome, &compared.text(), &compared)
}

fn covered(receipt: &Receipt) -> Value {
    serde_json::to_value(receipt.coverage).expect("counts are plain data")
}

/// Where and with what, without the time it took.
fn environment(receipt: &Receipt) -> Value {
    let circumstances = serde_json::to_value(&receipt.circumstances);
    let mut value = circumstances.expect("circumstances are plain data");
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|name, _| !["started_unix", "seconds"].contains(&&**name));
    }
    value
}

impl Compared {
    fn text(&self) -> String {
        let part = |name: &str, found: &[Difference]| {
            let lines: String = found.iter().map(|d| format!("  {d}\n")).collect();
            match found.len() {
                0 => format!("{name}: the same\n"),
                count => format!("{name}: {count} differ\n{lines}"),
            }
        };
        part("claims", &self.claims)
            + &part("coverage", &self.coverage)
            + &part("environment", &self.environment)
    }
}
