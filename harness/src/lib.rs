//! Tells whether a low-bit LLM engine computes what the C++ reference computes, bit for bit.
//!
//! Data flows one way: a case goes to the runners, each yields an observation, two observations
//! are compared without knowing who made them, the findings become a verdict, the verdict becomes
//! a receipt, and the receipt becomes a table, JSON or JUnit. The commands only connect these.
#![forbid(unsafe_code)]

pub mod atomic;
pub mod campaign;
pub mod case;
pub mod chat;
pub mod cli;
pub mod command;
pub mod compare;
pub mod coverage;
pub mod examine;
pub mod exit;
pub mod fixture;
pub mod flags;
pub mod junit;
pub mod lint;
pub mod metrics;
pub mod norm_gate;
pub mod npy;
pub mod observation;
pub mod opened;
pub mod output;
pub mod progress;
pub mod provenance;
pub mod receipt;
pub mod report;
pub mod runner;
pub mod suite;
pub mod tolerance;
pub mod verdict;
