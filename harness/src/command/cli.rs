//! What was typed: the command tree and nothing else. Each command's flags live in its own file.

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::command::flags::Json;
use crate::command::flags::shown::Shown;
use crate::command::project;
use crate::exit::{self, Exit, Failure};
use crate::io::{output, signals};

/// Tells whether a low-bit LLM engine computes what the C++ reference computes, bit for bit.
#[derive(Parser)]
#[command(version = env!("HARNESS_VERSION"), after_help = exit::TABLE, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    shown: Shown,

    #[command(subcommand)]
    command: Command,
}

/// The words, each with the file of that name and, where there is one, another word for it.
macro_rules! commands {
    ($($word:ident $file:ident $(($alias:literal))?)*) => {
        #[derive(Subcommand)]
        #[allow(clippy::large_enum_variant)] // there is one, and it is taken apart at once
        enum Command {
            $(
                $(#[command(visible_alias = $alias)])?
                $word(crate::command::$file::Args),
            )*
        }

        fn dispatch(command: Command) -> Result<Exit, Failure> {
            match command {
                $(Command::$word(args) => crate::command::$file::run(args),)*
            }
        }
    };
}

commands! {
    Crossval crossval
    Eval eval
    Bench bench
    Trace trace
    Attribute attribute
    Tokenize tokenize
    Tokenizer tokenizer
    Generate generate
    Inspect inspect
    Export export
    Bisect bisect
    Calibrate calibrate
    Check check ("compat-check")
    Compare compare
    Doctor doctor
    Convert convert
    Fetch fetch
    Kernels kernels
    Verify verify
    Weights weights
    Metamorphic metamorphic
    Shapes shapes
    Fixtures fixtures
    Formats formats
    Perplexity perplexity
    Power power
    Receipt receipt
    Report report
    Subject subject
    Reference reference
    Review review
    Accept accept
    Reject reject
    Explain explain
    Completions completions
    Man man
}

/// What this program asks itself in a process of its own. No [`Command`], so that no misspelled
/// word is taken for one of these.
#[derive(Parser)]
enum Internal {
    Worker(crate::command::worker::Args),
    #[command(name = crate::command::chat::isolated::COMMAND)]
    RenderChat,
}

/// Every word and flag there is.
pub fn tree() -> clap::Command {
    Cli::command()
}

/// Parses, runs, and turns what happened into an exit code. Errors are told once, here.
pub fn run() -> ExitCode {
    let word = std::env::args_os().nth(1).unwrap_or_default();
    if Internal::command().find_subcommand(word).is_some() {
        return ended(guarded(|| serve(Internal::parse())), &Json::default());
    }
    let typed = match project::completed(&tree(), std::env::args_os().collect()) {
        Ok(typed) => typed,
        Err(failure) => return ended(Err(failure), &Json::default()),
    };
    let matches = match tree().try_get_matches_from(typed) {
        Ok(matches) => matches,
        Err(usage) => return report_usage(&usage),
    };
    let json = Json::typed(&matches);
    let command = Cli::from_arg_matches(&matches).unwrap_or_else(|usage| usage.exit());
    command.shown.apply();
    let result = signals::watch(remove_scratch).map_err(Failure::environment);
    ended(
        result.and_then(|()| guarded(|| dispatch(command.command))),
        &json,
    )
}

/// Help on standard output, or what is wrong with the command line on standard error and, where
/// that was typed, as JSON.
fn report_usage(usage: &clap::Error) -> ExitCode {
    let printed = usage.print();
    if usage.use_stderr() {
        let text = usage.to_string();
        let failure = Failure::input(text.trim_start_matches("error: ").trim_end());
        let words: Vec<String> = signals::typed().collect();
        let written = Json::from_words(&words).and_then(|json| json.refuse(&failure));
        return written.map_or_else(
            |also| ended(Err(also), &Json::default()),
            |()| failure.exit.into(),
        );
    }
    match printed {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            let failure = Failure::environment(format!("standard output: {e}"));
            ended(Err(failure), &Json::default())
        }
        _ => Exit::Agrees.into(),
    }
}

/// What a reference is built in.
fn remove_scratch() {
    if let Ok(cache) = ffi::reference::Cache::from_environment() {
        cache.remove_scratch();
    }
}

fn ended(result: Result<Exit, Failure>, json: &Json) -> ExitCode {
    signals::wait_if_ending();
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

fn serve(command: Internal) -> Result<Exit, Failure> {
    match command {
        Internal::Worker(args) => crate::command::worker::run(args),
        Internal::RenderChat => crate::command::chat::isolated::answer(),
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
