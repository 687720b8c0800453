//! What was typed: the command tree and nothing else. Each command's flags live in its own file.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::command::{check, crossval, eval, fixtures, generate, inspect, receipt, tokenize};
use crate::exit;

/// Tells whether a low-bit LLM engine computes what the C++ reference computes, bit for bit.
#[derive(Parser)]
#[command(version, after_help = exit::TABLE, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Crossval(crossval::Args),
    Eval(eval::Args),
    Tokenize(tokenize::Args),
    Generate(generate::Args),
    Inspect(inspect::Args),
    Check(check::Args),
    Fixtures(fixtures::Args),
    Receipt(receipt::Args),
}

/// Parses, runs, and turns what happened into an exit code. Errors are printed once, here.
pub fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Crossval(args) => crossval::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Tokenize(args) => tokenize::run(args),
        Command::Generate(args) => generate::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Check(args) => check::run(args),
        Command::Fixtures(args) => fixtures::run(args),
        Command::Receipt(args) => receipt::run(args),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.exit.into()
        }
    }
}
