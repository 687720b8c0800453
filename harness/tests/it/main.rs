//! The harness from outside: its library, its program and, where they are built, real references.

mod answers;
mod attribute;
#[cfg(unix)]
mod bench;
mod calibrate;
mod can_fail;
mod commands;
mod controls;
mod convert;
mod crossval;
mod dialects;
mod documents;
mod ends;
mod explain;
mod exports;
mod fetch;
mod forged;
mod habits;
mod kernels;
mod known_divergences;
mod ladder;
mod last_failed;
mod likeliest;
mod metamorphic;
mod outcomes;
mod outputs;
mod pending;
mod power;
mod program;
mod qk256;
mod recorder;
mod recordings;
mod report;
mod resumed;
mod shapes;
mod shards;
#[cfg(unix)]
mod subjects;
mod tampered;
mod terminal;
mod tidy;
mod tokenizer;
mod trace;
mod transcripts;
mod verify;
mod words;
