//! `harness completions`: what a shell needs to complete a line, made from the command tree.

use clap_complete::Shell;

use crate::command::cli;
use crate::exit::{Exit, Failure};
use crate::io::output;

/// Print the completions of a shell
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness completions bash > harness.bash
  harness completions zsh > _harness
  harness completions fish > harness.fish")]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let mut bytes = Vec::new();
    clap_complete::generate(args.shell, &mut cli::tree(), "harness", &mut bytes);
    output::put(&bytes)?;
    Ok(Exit::Agrees)
}
