//! A result as one page of HTML: everything it shows is in the JSON that the command writes, and
//! nothing else is looked at, so that a page can be made of a receipt years later.
//!
//! A page needs no network and no script to be read. Every number that is in the JSON says where
//! (`data-from`, a JSON pointer), so that a page can be held against its receipt. Text goes through
//! `maud`, which escapes it.
#![forbid(unsafe_code)]

mod bench;
mod compare;
mod comparison;
mod figures;
mod grid;
mod heat;
mod levels;
mod located;
mod page;
mod power;
mod provenance;
mod records;
mod run;
mod trace;
mod trend;
mod uncompared;
mod values;

use serde_json::Value;

use crate::receipt::Receipt;

/// The page of a receipt that `crossval` wrote.
pub fn of_receipt(receipt: &Receipt) -> String {
    run::page(receipt)
}

/// The page of what a command wrote as JSON.
pub fn of_json(bytes: &[u8]) -> Result<String, String> {
    let json: Value = serde_json::from_slice(bytes).map_err(|e| format!("it is no JSON: {e}"))?;
    let made = if json.get("parity").is_some() {
        return Receipt::read(bytes).map(|receipt| of_receipt(&receipt));
    } else if trace::is_one(&json) {
        trace::page(&json)
    } else if compare::is_one(&json) {
        compare::page(&json)
    } else if power::is_one(&json) {
        power::page(&json)
    } else if bench::is_one(&json) {
        bench::page(&json)
    } else {
        let known = "what crossval, trace, compare, power or bench wrote with --json";
        return Err(format!("expected {known}, found other JSON"));
    };
    made.map_err(|e| format!("it was written by another version of this program: {e}"))
}

/// The page of a folder: the trends of all receipts and benchmarks among these files, each with its
/// name.
pub fn of_folder(files: &[(String, Vec<u8>)]) -> Result<String, String> {
    trend::page(files)
}
