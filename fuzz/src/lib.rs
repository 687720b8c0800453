//! Hostile inputs for everything that reads what a stranger wrote.
//!
//! A [`Target`] is handed bytes and makes of them what it reads: a file as it is, or a structure
//! that is built from them, so that deep stages are reached too. A panic is a finding, and so is a
//! broken promise: each target says which ones it holds the code to.
//!
//! `scripts/fuzz.sh` looks for inputs that reach new code, with libFuzzer; `cargo test -p fuzz`
//! runs those that were kept.
#![forbid(unsafe_code)]

mod drawn;
mod edited;
pub mod target;

pub use target::{PLANTED, TARGETS, Target};

use engine::refusal::Refusal;

/// The memory in bytes that an input of a few kilobytes may have at once.
pub const MOST_MEMORY: usize = 256 << 20;

/// What should become of a hostile input: an answer that names a place and what belongs there.
fn refused(refusal: &Refusal) {
    let told = [&refusal.field, &refusal.expected, &refusal.found];
    assert!(told.iter().all(|part| !part.is_empty()), "{refusal:?}");
}
