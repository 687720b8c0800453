//! Tells whether a low-bit LLM engine computes what the C++ reference computes, bit for bit.
//!
//! Data flows one way: a case goes to the runners, each yields an observation, two observations
//! are judged without knowing who made them, the verdict becomes a receipt, and the receipt
//! becomes a table, JSON or JUnit. The commands only connect these.
//! Each folder may use the ones above it in this table, never the ones below.
//!
//! | stage | what it is for |
//! |---|---|
//! | [`exit`] | the one table of exit codes, and the failures that lead to them |
//! | [`io`] | files, terminals, the kernel |
//! | [`hub`](mod@hub) | files of a Hugging Face repository, fetched and kept |
//! | [`numbers`] | how far apart, how sure; the seed |
//! | [`case`] | what is asked and what was seen: plain data |
//! | [`file`](mod@file) | a model file: hashed, opened, edited, criticised |
//! | [`fixture`] | committed inputs, made again from a seed |
//! | [`judge`] | two observations into one answer: tolerances, comparison, verdict |
//! | [`reference`](mod@reference) | the C++ in a process of its own: both ends of the wire |
//! | [`runner`] | whatever can compute: the engine, a reference, a recording, a script |
//! | [`receipt`] | what a run leaves behind: claims, numbers, circumstances; as table or JUnit |
//! | [`bench`](mod@bench) | how fast, beside others, of which each was shown to compute the same |
//! | [`oracle`] | the ways in which an engine can be caught, one folder for each command |
//! | [`report`] | any of these results as one page of HTML |
//! | [`command`] | one file for each word of the command line, and the tree of them |
#![deny(unsafe_code)] // `io::process` is allowed it, every other folder forbids it

pub mod bench;
pub mod case;
pub mod command;
pub mod exit;
pub mod file;
pub mod fixture;
pub mod hub;
pub mod io;
pub mod judge;
pub mod numbers;
pub mod oracle;
pub mod receipt;
pub mod reference;
pub mod report;
pub mod runner;
