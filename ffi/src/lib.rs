//! The door to the C++ reference: prepares one, opens it at run time, and never links it.
//!
//! [`mod@reference`] finds or builds a library of the llama.cpp family and compiles our own small C
//! interface (`shim/`) against its headers; [`Library::open`] loads the result. A [`Model`] is a
//! file the library read, a [`Session`] feeds it tokens and hands out logits and, through an
//! [`Observe`], every node of the graph; [`Kernels`] calls single functions.
//!
//! The library below aborts where it is unhappy, and no interface can catch that: whoever needs
//! to survive it opens the reference in a process of its own. That is also the reason for one
//! reference per process, which [`Library::open`] enforces.
//!
//! Each module may use the ones above it in this table, never the ones below.
//!
//! | module | what it is for |
//! |---|---|
//! | [`error`] | everything that can go wrong, each with its remedy |
//! | [`facts`] | plain data that goes in and out |
//! | [`node`] | one step of the graph, as an observer sees it |
//! | [`float_environment`] | how this thread rounds |
//! | [`leftovers`] | temporary files whose maker is gone |
//! | [`reference`](mod@reference) | finds, builds and describes a reference; opens none |
//! | [`bindings`] | our C interface, as bindgen reads its header |
//! | [`log`] | the end of what the library logged |
//! | [`convert`] | arguments as C takes them, answers as Rust takes them |
//! | [`loaded`] | the one library of this process, every call checked |
//! | [`handle`] | owned pointers into it |
//! | [`kernels`] | single functions |
//! | [`session`] | a context: tokens in, logits out |
//! | [`model`] | a loaded file and its vocabulary |
//! | [`library`] | the way in: a prepared reference becomes models and functions |
//! | [`five`] | an engine that a user compiled against five functions of ours |
//! | [`absent`] | the same types for a build that can open nothing |
#![allow(rustdoc::private_intra_doc_links)] // the table is for who changes this crate

mod error;
mod facts;
mod float_environment;
pub mod leftovers;
mod node;
pub mod reference;

#[cfg(all(unix, feature = "live"))]
#[rustfmt::skip]
mod bindings;
#[cfg(all(unix, feature = "live"))]
mod convert;
#[cfg(all(unix, feature = "live"))]
mod five;
#[cfg(all(unix, feature = "live"))]
mod handle;
#[cfg(all(unix, feature = "live"))]
mod kernels;
#[cfg(all(unix, feature = "live"))]
mod library;
#[cfg(all(unix, feature = "live"))]
mod loaded;
#[cfg(all(unix, feature = "live"))]
mod log;
#[cfg(all(unix, feature = "live"))]
mod model;
#[cfg(all(unix, feature = "live"))]
mod session;

#[cfg(any(doc, not(all(unix, feature = "live"))))] // `doc`: the table above names it
mod absent;

#[cfg(not(all(unix, feature = "live")))]
pub use absent::{Five, FiveSession, Kernels, Library, Model, Session};
#[cfg(all(unix, feature = "live"))]
pub use five::{Five, FiveSession};
#[cfg(all(unix, feature = "live"))]
pub use kernels::Kernels;
#[cfg(all(unix, feature = "live"))]
pub use library::Library;
#[cfg(all(unix, feature = "live"))]
pub use model::Model;
#[cfg(all(unix, feature = "live"))]
pub use session::Session;

pub use error::{Error, Status};
pub use facts::{
    ActivationRow, Identity, ModelFacts, ModelOptions, RequantizeOptions, SessionOptions, Text,
    TokenFacts, TypeFacts, Wanted,
};
pub use float_environment::control_word;
pub use node::{Node, Observe, Source, Step};

/// Whether this build can open a reference at all.
pub const fn support_compiled_in() -> bool {
    cfg!(all(unix, feature = "live"))
}
