//! Tells whether a low-bit LLM engine computes what the C++ reference computes, bit for bit.
//!
//! Data flows one way: a case goes to the runners, each yields an observation, two observations
//! are compared without knowing who made them, the findings become a verdict, the verdict becomes
//! a receipt, and the receipt becomes a table, JSON or JUnit. The commands only connect these.
//! Each module may use the ones above it in this table, never the ones below.
//!
//! | stage | what it is for |
//! |---|---|
//! | [`exit`] | the one table of exit codes, and the failures that lead to them |
//! | [`atomic`] | files that appear whole or not at all |
//! | [`progress`] | bars on a terminal, silence elsewhere |
//! | [`output`] | what commands print for programs |
//! | [`flags`] | flags that mean the same in every command |
//! | [`process`] | what is asked of the kernel: words before death, bounds on memory and time |
//! | [`npy`] | arrays as NumPy reads them |
//! | [`trace`] | the nodes of a pass as safetensors |
//! | [`provenance`] | hashes, stamps, the machine: facts without judgement |
//! | [`opened`] | a model file on its way into a command |
//! | [`document`] | a model file in pieces that can be edited and written again |
//! | [`fixture`] | committed inputs, made again from a seed |
//! | [`observation`] | plain data, the only thing that crosses from running to comparing |
//! | [`case`] | what is to be compared, and how much of it |
//! | [`schedule`] | in which portions tokens reach a model |
//! | [`isolation`] | foreign code in a process of its own, and what became of it |
//! | [`reference`](mod@reference) | live references: found, opened in processes of their own |
//! | [`coverage`] | what was to be compared, and what was |
//! | [`metrics`] | how far apart two rows of numbers are |
//! | [`statistics`] | what is said about many positions at once |
//! | [`tolerance`] | the closed ladder of what is demanded, each rung with its reason |
//! | [`compare`] | two observations into findings, pure |
//! | [`ledger`] | divergences that are known, each with a reason and a bound |
//! | [`verdict`] | findings into one of a closed set of answers |
//! | [`runner`] | whoever can observe: the engine, a recording, a script |
//! | [`worker`] | the far side of a reference: drives the C++ in a process of its own |
//! | [`suite`] | the fixtures folder: cases and the recordings that answer them |
//! | [`localise`] | node by node: the operation that is the first to differ |
//! | [`receipt`] | claims, the numbers they follow from, and circumstances; verified, compared |
//! | [`examine`] | one case through every runner |
//! | [`campaign`] | many cases, of which one death costs one |
//! | [`report`] | a receipt as a table |
//! | [`junit`] | a receipt as JUnit XML |
//! | [`tokenizing`] | whether two tokenizers say the same, down to the smallest text where not |
//! | [`attribute`] | one module swapped alone, and what it does to the logits |
//! | [`kernels`] | single kernels, asked the same questions on both sides |
//! | [`weights`] | tensors of a model: the values they stand for, and what they multiply to |
//! | [`metamorphic`] | edits of a model, and ways through it, that must not change a bit |
//! | [`shapes`] | random models through two sources of logits, bit for bit |
//! | [`lint`] | the mistakes that real model files have |
//! | [`norm_gate`] | rulesets for the statistics of norms |
//! | [`power`] | faults planted one at a time, and whether the comparison notices |
//! | [`calibrate`] | how far apart lanes without a fault are |
//! | [`chat`] | a model's own chat template |
//! | [`command`] | one file per command |
//! | [`cli`] | the command tree |
#![deny(unsafe_code)] // `process` is allowed it, every other file forbids it

pub mod atomic;
pub mod attribute;
pub mod calibrate;
pub mod campaign;
pub mod case;
pub mod chat;
pub mod cli;
pub mod command;
pub mod compare;
pub mod coverage;
pub mod document;
pub mod examine;
pub mod exit;
pub mod fixture;
pub mod flags;
pub mod isolation;
pub mod junit;
pub mod kernels;
pub mod ledger;
pub mod lint;
pub mod localise;
pub mod metamorphic;
pub mod metrics;
pub mod norm_gate;
pub mod npy;
pub mod observation;
pub mod opened;
pub mod output;
pub mod power;
#[allow(unsafe_code)]
pub mod process;
pub mod progress;
pub mod provenance;
pub mod receipt;
pub mod reference;
pub mod report;
pub mod runner;
pub mod schedule;
pub mod shapes;
pub mod statistics;
pub mod suite;
pub mod tokenizing;
pub mod tolerance;
pub mod trace;
pub mod verdict;
pub mod weights;
#[cfg(unix)]
pub mod worker;
