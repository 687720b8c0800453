//! `harness receipt`: receipts shown, recomputed, compared, exported.

mod rerun;
mod shares;

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::command::finish::finish;
use crate::command::flags::{self, Exports, Json};
use crate::exit::{Exit, Failure};
use crate::file::provenance::Input;
use crate::io::destination::{Destination, FileRoles};
use crate::io::output;
use crate::judge::outcome::Outcome;
use crate::receipt::diff::{Difference, differences};
use crate::receipt::statement::{self, Envelope, Statement};
use crate::receipt::table::{self, Detail};
use crate::receipt::verify::{Code, Verification, verify, verify_repeated};
use crate::receipt::{Receipt, merge};
use crate::runner::suite::Suite;

const HELP: &str = "\
Examples:
  harness receipt show receipt.json
  harness receipt show receipt.json --markdown - --badge parity.svg
  harness receipt verify receipt.json
  harness receipt verify receipt.json --rerun 1
  harness receipt diff yesterday.json today.json
  harness receipt merge share-1.json share-2.json --json whole.json
  harness receipt key own.key
  harness receipt export receipt.json --sign own.key -o statement.json
  harness receipt verify statement.json --signed-by own.key.pub

`verify` holds a receipt against itself and against the files that are here. REFUTED is what
contradicts, with a code of its own, and ends with 1; UNVERIFIABLE is what takes a file that is not
here or another run, and ends with 5. A receipt is its writer's word: that the run took place is
shown only by --rerun, which repeats cases that its writer could not choose.";

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
        exports: Exports,
        #[command(flatten)]
        json: Json,
    },
    /// Compute again what can be: hashes, verdicts, coverage, status, seal
    Verify {
        /// The receipt
        receipt: Option<PathBuf>,
        #[command(flatten)]
        json: Json,
        /// Run so many of its cases again, drawn anew each time; live references with them
        #[arg(long, value_name = "N", value_parser = flags::positive)]
        rerun: Option<usize>,
        /// Refuse it unless this public key signed it
        #[arg(long, value_name = "FILE")]
        signed_by: Option<PathBuf>,
        /// The folder with cases.json [default: fixtures/ here or above, else built in]
        #[arg(long, value_name = "DIR")]
        fixtures: Option<PathBuf>,
    },
    /// Write a receipt as an in-toto Statement, signed where a key is given
    Export {
        /// The receipt
        receipt: PathBuf,
        /// What to write it as
        #[arg(long, value_enum, default_value_t = Form::Intoto)]
        format: Form,
        /// Sign it with this key, in a DSSE envelope
        #[arg(long, value_name = "FILE")]
        sign: Option<PathBuf>,
        /// Where to
        #[arg(short, long, value_name = "FILE|-", default_value = "-")]
        output: Destination,
    },
    /// Make a key to sign with: FILE, and beside it FILE.pub for those who verify
    Key {
        /// The secret key, which must not exist yet
        file: PathBuf,
    },
    /// Put the receipts of all shares of a run together
    Merge {
        /// What --shard wrote with --json: the receipts of `crossval`, or the results of `power`,
        /// `shapes`, `kernels` or `tokenizer`
        #[arg(required = true, value_name = "RECEIPT")]
        receipts: Vec<PathBuf>,
        #[command(flatten)]
        exports: Exports,
        #[command(flatten)]
        json: Json,
        /// The folder with cases.json [default: fixtures/ here or above, else built in]
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

/// What a receipt is written as for other programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// An in-toto Statement
    Intoto,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    match args.action {
        Action::Show {
            receipt,
            exports,
            json,
        } => {
            let (receipts, json) = read::<1>(receipt.into_iter().collect(), json)?;
            let [receipt] = receipts;
            let claims: Vec<_> = receipt.cases.iter().map(|c| &c.claims).collect();
            let detail = Detail::wanted();
            exports.roles(FileRoles::default())?;
            let text = if exports.takes_stdout() {
                String::new()
            } else {
                table::render(&receipt, detail, output::width())
            };
            let ended = finish(Outcome::Ok, &text, &claims, &json)?;
            exports.write(&receipt)?;
            Ok(ended)
        }
        Action::Verify {
            receipt,
            json,
            rerun,
            signed_by,
            fixtures,
        } => {
            let ([path], json) = paths::<1>(receipt.into_iter().collect(), json)?;
            let (receipt, envelope) = opened(&path)?;
            // A folder that was named must be good; one that was only looked for may be absent.
            let suite = match fixtures {
                Some(folder) => Some(Suite::open(&folder)?),
                None => Suite::find().ok().map(|f| Suite::open(&f)).transpose()?,
            };
            let mut found = verified(&receipt, suite.as_ref(), rerun)?;
            if let Some(key) = &signed_by {
                let (_, key) = Input::read_text(key)?;
                let signed = envelope.is_some_and(|envelope| envelope.is_signed_by(&key));
                found.note(Code::Signature, "the signature", signed);
            }
            finish(found.outcome(), &found.to_string(), &found, &json)
        }
        Action::Export {
            receipt,
            format: Form::Intoto,
            sign,
            output,
        } => export(&receipt, sign.as_deref(), &output),
        Action::Key { file } => key(&file),
        Action::Merge {
            receipts,
            exports,
            json,
            fixtures,
        } => merged(&receipts, (&json, &exports), fixtures),
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

fn merged(
    paths: &[PathBuf],
    (json, exports): (&Json, &Exports),
    fixtures: Option<PathBuf>,
) -> Result<Exit, Failure> {
    exports.roles(json.beside(paths.iter().map(|path| ("the receipt", path.as_path())))?)?;
    if let Some(rows) = shares::merge(&shares::read(paths)?) {
        let (whole, outcome) = rows.map_err(Failure::input)?;
        let text = format!("{} shares put together\nstatus: {outcome}\n", paths.len());
        return finish(outcome, &text, &whole, json);
    }
    let suite = Suite::open(&fixtures.map_or_else(Suite::find, Ok)?)?;
    let read = |path: &PathBuf| Ok((path.display().to_string(), receipt(path)?));
    let shares = paths.iter().map(read).collect::<Result<_, Failure>>()?;
    let whole = merge::merge(shares, &suite.ledger).map_err(Failure::input)?;
    let text = table::render(&whole, Detail::wanted(), output::width());
    let text = if exports.takes_stdout() { "" } else { &text };
    let ended = finish(whole.parity.status, text, &whole, json)?;
    exports.write(&whole)?;
    Ok(ended)
}

fn passes(holds: bool) -> Outcome {
    if holds {
        Outcome::Ok
    } else {
        Outcome::Divergence
    }
}

/// Holds a receipt against what is here, some of its cases run again.
fn verified(
    receipt: &Receipt,
    suite: Option<&Suite>,
    rerun: Option<usize>,
) -> Result<Verification, Failure> {
    let (Some(count), Some(suite)) = (rerun, suite) else {
        return match rerun {
            Some(_) => Err(Failure::input("--rerun needs the fixtures")),
            None => Ok(verify(receipt, suite)),
        };
    };
    Ok(match rerun::repeat(receipt, suite, count)? {
        Ok(same) => verify_repeated(receipt, Some(suite), same),
        Err(differs) => {
            let mut found = verify(receipt, Some(suite));
            found.note(Code::Rerun, &differs, false);
            found
        }
    })
}

/// Writes a Statement, signed where there is a key.
fn export(receipt: &Path, sign: Option<&Path>, output: &Destination) -> Result<Exit, Failure> {
    let mut roles = FileRoles::default().reads("the receipt", receipt);
    if let Some(key) = sign {
        roles = roles.reads("--sign", key);
    }
    roles.writes("--output", Some(output))?;
    let statement = Statement::of(&opened(receipt)?.0);
    let text = match sign {
        None => statement.to_json(),
        Some(key) => {
            let (_, secret) = Input::read_text(key)?;
            let wrong = |why| Failure::input(format!("{}: {why}", key.display()));
            let signed = Envelope::sign(&statement, &secret);
            signed.map_err(wrong)?.to_json()
        }
    };
    output.write(text.as_bytes())?;
    Ok(Exit::Agrees)
}

/// Writes a new key and its public half. Neither replaces anything.
fn key(file: &Path) -> Result<Exit, Failure> {
    let public = PathBuf::from(format!("{}.pub", file.display()));
    let texts = statement::new_key().map_err(Failure::environment)?;
    for (path, text) in [file, &public].into_iter().zip(&texts) {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|e| Failure::environment(format!("{}: {e}", path.display())))?;
    }
    Ok(Exit::Agrees)
}

/// So many receipts, none of which is where the JSON goes. `--json` right before a receipt has not
/// taken it for a file of its own: without it one receipt would be missing.
fn paths<const N: usize>(
    mut paths: Vec<PathBuf>,
    mut json: Json,
) -> Result<([PathBuf; N], Json), Failure> {
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
    let given = paths.len();
    let paths = paths.try_into();
    let paths =
        paths.map_err(|_| Failure::input(format!("{N} receipts are needed, not {given}")))?;
    Ok((paths, json))
}

/// The receipts at these paths.
fn read<const N: usize>(given: Vec<PathBuf>, json: Json) -> Result<([Receipt; N], Json), Failure> {
    let (paths, json) = paths::<N>(given, json)?;
    let receipts = paths.iter().map(|path| receipt(path));
    let receipts: Vec<Receipt> = receipts.collect::<Result<_, _>>()?;
    let receipts = receipts.try_into();
    Ok((
        receipts.unwrap_or_else(|_| unreachable!("one a path")),
        json,
    ))
}

/// Reads one, bare or in a Statement.
pub fn receipt(path: &Path) -> Result<Receipt, Failure> {
    Ok(opened(path)?.0)
}

/// The same with the envelope it came in.
fn opened(path: &Path) -> Result<(Receipt, Option<Envelope>), Failure> {
    let (_, bytes) = Input::read(path)?;
    statement::read(&bytes).map_err(|why| {
        let json = bytes.trim_ascii_start().starts_with(b"{");
        let next = "; `harness compare` takes models, logits and traces";
        let next = if json { "" } else { next };
        Failure::input(format!("{}: {why}{next}", path.display()))
    })
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
