//! A result as one page of HTML: everything it shows is in the JSON that the command writes, and
//! nothing else is looked at, so that a page can be made of a receipt years later.
//!
//! A page needs no network and no script to be read. Every number that is in the JSON says where
//! (`data-from`, a JSON pointer), so that a page can be held against its receipt. Text goes through
//! `maud`, which escapes it.
#![forbid(unsafe_code)]

mod comparison;
mod figures;
mod grid;
mod heat;
mod levels;
mod page;
mod provenance;
mod run;
mod uncompared;
mod values;

use crate::receipt::Receipt;

/// The page of a receipt that `crossval` wrote.
pub fn of_receipt(receipt: &Receipt) -> String {
    run::page(receipt)
}

/// The page of what a command wrote as JSON.
pub fn of_json(bytes: &[u8]) -> Result<String, String> {
    Receipt::read(bytes).map(|receipt| of_receipt(&receipt))
}
