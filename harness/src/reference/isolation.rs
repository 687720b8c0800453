//! Code that may abort, hang or eat all memory, kept in a process of its own.
//!
//! The worker is this same program, started again. It talks through a socket that it received as
//! standard input and has moved to a private place, so that nothing the code under suspicion
//! prints can be mistaken for an answer; everything it does print is kept as its last words. The
//! worker confines itself before it touches anything foreign: own session, limits on memory, time
//! and files, death together with whoever started it. Whatever it does then becomes an [`Ended`].
//!
//! `rustix` does the system calls: the whole stage needs no `unsafe`, because nothing has to run
//! between fork and exec.
#![forbid(unsafe_code)]

mod call;
#[cfg(unix)]
mod child;
#[cfg(unix)]
mod confinement;
#[cfg(unix)]
mod deadline;
mod death;
#[cfg(unix)]
mod frame;
#[cfg(unix)]
mod last_words;
mod limits;
mod message;
#[cfg(unix)]
mod serve;

pub use self::call::{Call, pack, parts, unpack};
#[cfg(unix)]
pub use self::child::Worker;
pub use self::death::{Death, Ended, Kind};
pub use self::limits::Limits;
pub use self::message::{
    Answer, Computed, Described, Hello, Observed, PROTOCOL, Reply, Request, TypeFacts,
};
#[cfg(unix)]
pub use self::serve::{Channel, Serve, Stop, serve};
