//! `harness render-chat`: the other side of [`crate::chat::apart`], not for people.
#![forbid(unsafe_code)]

use crate::chat::apart;
use crate::exit::{Exit, Failure};

/// Runs the command.
pub fn run() -> Result<Exit, Failure> {
    apart::answer()?;
    Ok(Exit::Agrees)
}
