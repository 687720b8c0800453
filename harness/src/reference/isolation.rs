//! Code that may abort, hang or eat all memory, kept in a process of its own.
//!
//! The worker is this same program, started again. It talks through a socket that it received as
//! standard input and has moved to a private place, so that nothing the code under suspicion
//! prints can be mistaken for an answer; the end of everything it does print is kept. The worker
//! confines itself before it touches anything foreign: own session, limits on memory, time and
//! files, an end together with the process that started it. Whatever it does then becomes a
//! [`WorkerExit`].
//!
//! `rustix` does the system calls: the whole stage needs no `unsafe`, because nothing has to run
//! between fork and exec.

mod call;
#[cfg(unix)]
mod child;
#[cfg_attr(not(unix), path = "isolation/absent.rs")]
mod confinement;
#[cfg(unix)]
mod deadline;
mod death;
pub mod frame;
mod limits;
mod message;
mod sandbox;
mod serve;
#[cfg(unix)]
mod stderr_tail;

pub use self::call::Call;
#[cfg(unix)]
pub use self::child::Worker;
#[cfg(not(unix))]
pub use self::confinement::Worker;
pub use self::death::{Death, Kind, WorkerExit};
pub use self::limits::{Limits, Rights, Terms};
pub use self::message::{
    Answer, Computed, Cost, Described, Done, Hello, ModelFile, PROTOCOL, Part, Reply, Request,
    Shown,
};
pub use self::serve::{Channel, Serve, Stop, serve};
