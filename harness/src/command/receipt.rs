//! `harness receipt`: receipts shown, recomputed, compared.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::exit::{Exit, Failure};
use crate::file::provenance::Input;
use crate::io::output;
use crate::receipt::Receipt;
use crate::receipt::diff::{Difference, differences};
use crate::receipt::table;
use crate::receipt::verify::{Verification, verify};
use crate::runner::suite::Suite;

const HELP: &str = "\
Examples:
  harness receipt show receipt.json
  harness receipt verify receipt.json
  harness receipt diff yesterday.json today.json";

/// Show, verify or compare receipts
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Print a receipt as the table `crossval` printed
    Show {
        /// The receipt
        receipt: PathBuf,
        /// Print the claims as JSON instead
        #[arg(long)]
        json: bool,
    },
    /// Compute again what can be: hashes, verdicts, coverage, status, seal
    Verify {
        /// The receipt
        receipt: PathBuf,
        /// Print the outcome as JSON
        #[arg(long)]
        json: bool,
        /// The folder with cases.json [default: fixtures/ here, above, or where this was built]
        #[arg(long, value_name = "DIR")]
        fixtures: Option<PathBuf>,
    },
    /// Print every claim that differs between two receipts
    Diff {
        /// The earlier receipt
        left: PathBuf,
        /// The later receipt
        right: PathBuf,
        /// Print the differences as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    match args.action {
        Action::Show { receipt, json } => show(&read(&receipt)?, json),
        Action::Verify {
            receipt,
            json,
            fixtures,
        } => {
            let receipt = read(&receipt)?;
            // A folder that was named must be good; one that was only looked for may be absent.
            let suite = match fixtures {
                Some(folder) => Some(Suite::open(&folder)?),
                None => Suite::find().ok().map(|f| Suite::open(&f)).transpose()?,
            };
            print_verification(&verify(&receipt, suite.as_ref()), json)
        }
        Action::Diff { left, right, json } => {
            print_differences(&claims_apart(&read(&left)?, &read(&right)?), json)
        }
    }
}

fn read(path: &Path) -> Result<Receipt, Failure> {
    let (_, bytes) = Input::read(path)?;
    serde_json::from_slice(&bytes).map_err(|e| {
        let path = path.display();
        Failure::input(format!("{path} is not a receipt this build can read: {e}"))
    })
}

fn show(receipt: &Receipt, json: bool) -> Result<Exit, Failure> {
    if json {
        let claims: Vec<_> = receipt.cases.iter().map(|c| &c.claims).collect();
        output::json(&claims)?;
    } else {
        output::put(table::render(receipt).as_bytes())?;
    }
    Ok(Exit::Agrees)
}

fn print_verification(result: &Verification, json: bool) -> Result<Exit, Failure> {
    if json {
        let value = serde_json::json!({
            "verified": result.refuted.is_empty(),
            "confirmed": result.confirmed,
            "refuted": result.refuted,
            "unchecked": result.unchecked,
        });
        output::json(&value)?;
    } else {
        let mut text = String::new();
        text.extend(result.refuted.iter().map(|r| format!("REFUTED    {r}\n")));
        text.extend(result.unchecked.iter().map(|u| format!("unchecked  {u}\n")));
        text += &format!(
            "{} confirmed, {} refuted, {} could not be checked here\n",
            result.confirmed.len(),
            result.refuted.len(),
            result.unchecked.len()
        );
        output::put(text.as_bytes())?;
    }
    Ok(if result.refuted.is_empty() {
        Exit::Agrees
    } else {
        Exit::Diverges
    })
}

/// Case by case, so that one more case does not shift all the others.
fn claims_apart(left: &Receipt, right: &Receipt) -> Vec<Difference> {
    let names =
        |r: &Receipt| -> Vec<String> { r.cases.iter().map(|c| c.claims.case.clone()).collect() };
    let all: BTreeSet<String> = names(left).into_iter().chain(names(right)).collect();
    let claims = |receipt: &Receipt, name: &str| {
        let case = receipt.cases.iter().find(|c| c.claims.case == name);
        case.map_or(Value::Null, |c| {
            serde_json::to_value(&c.claims).expect("claims are plain data")
        })
    };
    let ends = |r: &Receipt| serde_json::to_value(&r.failures).expect("failures are plain data");
    let mut found = differences("failures", &ends(left), &ends(right));
    for name in &all {
        found.extend(differences(name, &claims(left, name), &claims(right, name)));
    }
    found
}

fn print_differences(found: &[Difference], json: bool) -> Result<Exit, Failure> {
    if json {
        let entry =
            |d: &Difference| serde_json::json!({"path": d.path, "left": d.left, "right": d.right});
        output::json(&found.iter().map(entry).collect::<Vec<_>>())?;
    } else if found.is_empty() {
        output::put(b"the claims are the same\n")?;
    } else {
        let lines: String = found.iter().map(|d| format!("{d}\n")).collect();
        output::put(lines.as_bytes())?;
    }
    Ok(if found.is_empty() {
        Exit::Agrees
    } else {
        Exit::Diverges
    })
}
