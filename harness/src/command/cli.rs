//! What was typed: the command tree and nothing else. Each command's flags live in its own file.
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::command::chat::apart;
use crate::command::{
    calibrate, check, crossval, eval, fixtures, generate, inspect, kernels, metamorphic, power,
    receipt, reference, render_chat, shapes, tokenize, tokenizer, trace, weights,
};
use crate::exit::{self, Exit, Failure};

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
    Trace(trace::Args),
    #[cfg(unix)]
    Attribute(crate::command::attribute::Args),
    Tokenize(tokenize::Args),
    Tokenizer(tokenizer::Args),
    Generate(generate::Args),
    Inspect(inspect::Args),
    Calibrate(calibrate::Args),
    Check(check::Args),
    Kernels(kernels::Args),
    Weights(weights::Args),
    Metamorphic(metamorphic::Args),
    Shapes(shapes::Args),
    Fixtures(fixtures::Args),
    Power(power::Args),
    Receipt(receipt::Args),
    Reference(reference::Args),
    #[cfg(unix)]
    #[command(hide = true)]
    Worker(crate::command::worker::Args),
    #[command(hide = true, name = apart::COMMAND)]
    RenderChat,
}

/// Parses, runs, and turns what happened into an exit code. Errors are printed once, here.
pub fn run() -> ExitCode {
    let command = Cli::parse().command;
    let result = guarded(|| dispatch(command));
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.exit.into()
        }
    }
}

/// A panic is a bug of this program: its exit code is its own and accuses neither side.
fn guarded(work: impl FnOnce() -> Result<Exit, Failure>) -> Result<Exit, Failure> {
    // Nothing of what the panic left behind is used again.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Failure {
            exit: Exit::HarnessFailed,
            message: "this is a bug; the lines above say where it happened".into(),
        })
    })
}

fn dispatch(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Crossval(args) => crossval::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Trace(args) => trace::run(args),
        #[cfg(unix)]
        Command::Attribute(args) => crate::command::attribute::run(args),
        Command::Tokenize(args) => tokenize::run(args),
        Command::Tokenizer(args) => tokenizer::run(args),
        Command::Generate(args) => generate::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Calibrate(args) => calibrate::run(args),
        Command::Check(args) => check::run(args),
        Command::Kernels(args) => kernels::run(args),
        Command::Weights(args) => weights::run(args),
        Command::Metamorphic(args) => metamorphic::run(args),
        Command::Shapes(args) => shapes::run(args),
        Command::Fixtures(args) => fixtures::run(args),
        Command::Power(args) => power::run(args),
        Command::Receipt(args) => receipt::run(args),
        Command::Reference(args) => reference::run(args),
        #[cfg(unix)]
        Command::Worker(args) => crate::command::worker::run(args),
        Command::RenderChat => render_chat::run(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_neither_a_verdict_nor_bad_input() {
        let died = guarded(|| panic!("planted")).expect_err("a failure");
        assert_eq!(died.exit, Exit::HarnessFailed);
        assert_eq!(
            guarded(|| Ok(Exit::Diverges)).expect("as it is"),
            Exit::Diverges
        );
    }

    #[test]
    fn the_command_tree_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
