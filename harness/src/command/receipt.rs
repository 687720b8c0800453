//! `harness receipt`: receipts shown, recomputed, compared.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::command::finish::finish;
use crate::command::flags::Json;
use crate::exit::{Exit, Failure};
use crate::file::provenance::Input;
use crate::io::destination::{Destination, FileRoles};
use crate::io::output;
use crate::judge::outcome::Outcome;
use crate::receipt::Receipt;
use crate::receipt::diff::{Difference, differences};
use crate::receipt::table::{self, Detail};
use crate::receipt::verify::verify;
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
        receipt: Option<PathBuf>,
        #[command(flatten)]
        json: Json,
    },
    /// Compute again what can be: hashes, verdicts, coverage, status, seal
    Verify {
        /// The receipt
        receipt: Option<PathBuf>,
        #[command(flatten)]
        json: Json,
        /// The folder with cases.json [default: fixtures/ here, above, or where this was built]
        #[arg(long, value_name = "DIR")]
        fixtures: Option<PathBuf>,
    },
    /// Print every claim that differs between two receipts
    Diff {
        /// The earlier receipt and the later one
        #[arg(required = true, num_args = 1..=2, value_names = ["LEFT", "RIGHT"])]
        receipts: Vec<PathBuf>,
        #[command(flatten)]
        json: Json,
    },
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    match args.action {
        Action::Show { receipt, json } => {
            let (receipts, json) = read::<1>(receipt.into_iter().collect(), json)?;
            let [receipt] = receipts;
            let claims: Vec<_> = receipt.cases.iter().map(|c| &c.claims).collect();
            let detail = Detail::wanted();
            let text = table::render(&receipt, detail, output::width());
            finish(Outcome::Ok, &text, &claims, &json)
        }
        Action::Verify {
            receipt,
            json,
            fixtures,
        } => {
            let (receipts, json) = read::<1>(receipt.into_iter().collect(), json)?;
            let [receipt] = receipts;
            // A folder that was named must be good; one that was only looked for may be absent.
            let suite = match fixtures {
                Some(folder) => Some(Suite::open(&folder)?),
                None => Suite::find().ok().map(|f| Suite::open(&f)).transpose()?,
            };
            let found = verify(&receipt, suite.as_ref());
            let value = serde_json::json!({
                "verified": found.refuted.is_empty(),
                "confirmed": found.confirmed,
                "refuted": found.refuted,
                "unchecked": found.unchecked,
            });
            finish(
                passes(found.refuted.is_empty()),
                &found.to_string(),
                &value,
                &json,
            )
        }
        Action::Diff { receipts, json } => {
            let ([left, right], json) = read::<2>(receipts, json)?;
            let found = claim_differences(&left, &right);
            let text: String = found.iter().map(|d| format!("{d}\n")).collect();
            let text = if text.is_empty() {
                "the claims are the same\n".to_owned()
            } else {
                text
            };
            finish(passes(found.is_empty()), &text, &found, &json)
        }
    }
}

fn passes(holds: bool) -> Outcome {
    if holds {
        Outcome::Ok
    } else {
        Outcome::Divergence
    }
}

/// So many receipts, none of which is where the JSON goes. `--json` right before a receipt has not
/// taken it for a file of its own: without it one receipt would be missing.
fn read<const N: usize>(
    mut paths: Vec<PathBuf>,
    mut json: Json,
) -> Result<([Receipt; N], Json), Failure> {
    if let (true, Some(Destination::Path(taken))) = (paths.len() + 1 == N, &json.to) {
        let place = |path: &PathBuf| std::env::args_os().position(|word| word == *path);
        let first = paths
            .first()
            .is_none_or(|other| place(taken) < place(other));
        paths.insert(if first { 0 } else { paths.len() }, taken.clone());
        json = Json::to(Destination::Stdout);
    }
    let roles = paths.iter().fold(FileRoles::default(), |roles, path| {
        roles.reads("the receipt", path)
    });
    roles.writes("--json", json.to.as_ref())?;
    let receipts: Vec<Receipt> = paths
        .iter()
        .map(|path| receipt(path))
        .collect::<Result<_, _>>()?;
    let given = receipts.len();
    let receipts = receipts.try_into();
    let receipts =
        receipts.map_err(|_| Failure::input(format!("{N} receipts are needed, not {given}")))?;
    Ok((receipts, json))
}

/// Reads one.
pub fn receipt(path: &Path) -> Result<Receipt, Failure> {
    let (_, bytes) = Input::read(path)?;
    Receipt::read(&bytes).map_err(|why| Failure::input(format!("{}: {why}", path.display())))
}

/// Case by case, so that one more case does not shift all the others.
pub fn claim_differences(left: &Receipt, right: &Receipt) -> Vec<Difference> {
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
