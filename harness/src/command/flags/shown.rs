//! How much is printed, and in which colours: flags of every command, before or behind its word.

use clap::ColorChoice;

use crate::case::shard::{Shard, Share};
use crate::io::look::{self, Amount};
use crate::io::threads;

/// Which share of the cases, where several machines do them together.
#[derive(clap::Args, Debug, Clone, Copy, Default)]
pub struct Sharing {
    /// Share K of N: every case is in one of them, balanced by what they took before; `harness
    /// receipt merge` puts the receipts together
    #[arg(long, value_name = "K/N")]
    pub shard: Option<Shard>,
}

impl Sharing {
    /// What a result says of the run of these that it is a share of, if it is one.
    pub fn share<T>(&self, all: &[T], name: impl Fn(&T) -> String) -> Option<Share> {
        let plan = || all.iter().map(name).collect();
        self.shard.map(|shard| Share::new(shard, plan()))
    }

    /// Those of a list that are in this share; all where nothing is shared.
    pub fn of<T>(&self, command: &str, all: Vec<T>, name: impl Fn(&T) -> String) -> Vec<T> {
        match self.shard {
            Some(shard) => shard.take(command, all, name),
            None => all,
        }
    }
}

/// How many cases at once.
#[derive(clap::Args, Debug, Clone, Copy)]
pub struct Jobs {
    /// Cases at once, each on --threads of its own; the result does not depend on it [default: one
    /// per core where nobody but this engine computes, else 1]
    #[arg(short, long, value_name = "N", value_parser = super::positive)]
    jobs: Option<usize>,
}

impl Jobs {
    /// As many as were asked for. Where they were not: who else computes may be as large as the
    /// machine, and references spin while they wait for each other.
    pub fn of(self, alone: bool) -> usize {
        let most = if alone { threads::cores() } else { 1 };
        self.jobs.unwrap_or(most)
    }
}

/// How much, and in which colours.
#[derive(clap::Args, Debug, Clone, Copy)]
#[command(next_help_heading = "Output")]
pub struct Shown {
    /// Print nothing where all is well; the exit code says it
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "verbose",
        display_order = 901
    )]
    quiet: bool,

    /// Print every row, not only where something is wrong
    #[arg(short, long, global = true, visible_alias = "all", display_order = 902)]
    verbose: bool,

    /// Colours; by themselves on a terminal, unless NO_COLOR is set
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        display_order = 903
    )]
    color: ColorChoice,
}

impl Shown {
    /// Makes it so, for the whole process.
    pub fn apply(self) {
        look::set_amount(match (self.quiet, self.verbose) {
            (true, _) => Amount::Quiet,
            (_, true) => Amount::Verbose,
            _ => Amount::Normal,
        });
        match self.color {
            ColorChoice::Always => look::set_colours(true),
            ColorChoice::Never => look::set_colours(false),
            ColorChoice::Auto => {}
        }
    }
}
