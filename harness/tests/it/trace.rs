//! Node by node: recordings that must agree, faults that must be found exactly where they were
//! planted, and everything that makes a trace worth nothing.

mod blame;
mod bundles;
mod layers;
mod traced;
mod ubatches;
