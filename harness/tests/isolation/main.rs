//! Code that misbehaves, in processes of its own: what becomes of it, and of everybody else.
#![cfg(unix)]

mod bisect;
mod campaign;
mod client;
mod hostile;
#[path = "../live/program.rs"]
mod program;
mod rogue;
mod spelling;
mod tale;
mod workers;
