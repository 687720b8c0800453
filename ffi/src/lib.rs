//! The door to the C++ reference. This build has none: every function answers with what to do.
#![forbid(unsafe_code)]

mod absent;

pub use absent::{NotBuilt, identity};

/// Whether this build can drive a reference at all.
pub const fn support_compiled_in() -> bool {
    false
}
