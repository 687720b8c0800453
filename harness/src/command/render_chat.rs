//! `harness render-chat`: the other side of [`crate::command::chat::apart`], not for people.
#![forbid(unsafe_code)]

use crate::command::chat::apart;
use crate::exit::{Exit, Failure};

/// Runs the command.
pub fn run() -> Result<Exit, Failure> {
    apart::answer()?;
    Ok(Exit::Agrees)
}
