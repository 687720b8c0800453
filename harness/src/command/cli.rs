//! What was typed: the command tree and nothing else. Each command's flags live in its own file.
#![forbid(unsafe_code)]

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::command::chat::apart;
use crate::command::flags::Json;
use crate::command::{
    calibrate, check, crossval, eval, fixtures, generate, inspect, kernels, metamorphic, power,
    receipt, reference, render_chat, shapes, tokenize, tokenizer, trace, weights,
};
use crate::exit::{self, Exit, Failure};
use crate::io::{output, signals};

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
    #[cfg(unix)]
    Bench(crate::command::bench::Args),
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
}

/// What this program asks itself in a process of its own. No [`Command`], so that no misspelled
/// word is taken for one of these.
#[derive(Parser)]
enum Internal {
    #[cfg(unix)]
    Worker(crate::command::worker::Args),
    #[command(name = apart::COMMAND)]
    RenderChat,
}

/// Parses, runs, and turns what happened into an exit code. Errors are told once, here.
pub fn run() -> ExitCode {
    let word = std::env::args_os().nth(1).unwrap_or_default();
    if Internal::command().find_subcommand(word).is_some() {
        return ended(guarded(|| answer(Internal::parse())), &Json::default());
    }
    let matches = match Cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(usage) => return told(&usage),
    };
    let json = Json::typed(&matches);
    let command = Cli::from_arg_matches(&matches).unwrap_or_else(|usage| usage.exit());
    let result = signals::watch().map_err(Failure::environment);
    ended(
        result.and_then(|()| guarded(|| dispatch(command.command))),
        &json,
    )
}

/// Help on standard output, or what is wrong with the command line on standard error.
fn told(usage: &clap::Error) -> ExitCode {
    match usage.print() {
        Err(e) if e.kind() != ErrorKind::BrokenPipe && !usage.use_stderr() => {
            let failure = Failure::environment(format!("standard output: {e}"));
            ended(Err(failure), &Json::default())
        }
        _ => ExitCode::from(usage.exit_code() as u8),
    }
}

fn ended(result: Result<Exit, Failure>, json: &Json) -> ExitCode {
    let failure = match result {
        Ok(exit) => return exit.into(),
        Err(failure) => failure,
    };
    output::tell(format!("error: {failure}"));
    if let Err(also) = json.refuse(&failure) {
        output::tell(format!("error: {also}"));
    }
    failure.exit.into()
}

/// A panic is a bug of this program: its exit code is its own and accuses neither side.
fn guarded(work: impl FnOnce() -> Result<Exit, Failure>) -> Result<Exit, Failure> {
    // Nothing of what the panic left behind is used again.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let message = "this is a bug; the lines above say where it happened";
        Err(Failure::new(Exit::HarnessFailed, message))
    })
}

fn dispatch(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Crossval(args) => crossval::run(args),
        Command::Eval(args) => eval::run(args),
        #[cfg(unix)]
        Command::Bench(args) => crate::command::bench::run(args),
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
    }
}

fn answer(command: Internal) -> Result<Exit, Failure> {
    match command {
        #[cfg(unix)]
        Internal::Worker(args) => crate::command::worker::run(args),
        Internal::RenderChat => render_chat::run(),
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
        Cli::command().debug_assert();
        Internal::command().debug_assert();
    }
}
