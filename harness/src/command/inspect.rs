//! `harness inspect`: what is in a model file.

mod contents;
mod norms;
mod text;

use std::path::PathBuf;

use clap::ValueEnum;

use crate::command::finish::finish;
use crate::command::flags::{Json, OneModel, Strictness};
use crate::exit::{Exit, Failure};
use crate::file::opened::Opened;
use crate::file::reading::Reading;

use contents::Contents;
use norms::Norms;

const EXAMPLE: &str = "\
Examples:
  harness inspect model.gguf
  harness inspect model.gguf --tensors --json -
  BITNET_STRICT_MODE=1 harness inspect --ln-stats --gate auto model.gguf

A policy is a TOML file (no YAML crate is both small and looked after):
  version = 1
  [rules.'my-model:f16']
  ln = [ { pattern = 'attn_norm\\.weight$', min = 0.05, max = 2.0 } ]  # first match counts
  proj_weight_rms_min = 0.01
  proj_weight_rms_max = 0.40

A failed gate, a warning about the file or a packing that cannot be told is exit 1 in strict
mode and exit 0 otherwise.";

/// Show what is in a model file: metadata, tensors, packings with evidence
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(flatten)]
    model: OneModel,

    #[command(flatten)]
    strictness: Strictness,

    #[command(flatten)]
    json: Json,

    /// List every tensor
    #[arg(long)]
    tensors: bool,

    #[command(flatten)]
    reading: Reading,

    /// Measure norm weights and plain linear weights
    #[arg(long)]
    ln_stats: bool,

    /// Judge the statistics: not at all, by what the file says it is, or by a policy file
    /// [default: policy where there is one, else auto]
    #[arg(long, value_name = "RULES", requires = "ln_stats")]
    gate: Option<Gate>,

    /// Policy file; judges the statistics
    #[arg(
        long,
        value_name = "FILE",
        required_if_eq("gate", "policy"),
        requires = "ln_stats"
    )]
    policy: Option<PathBuf>,

    /// Which rules of the policy file [default: the only ones]
    #[arg(long, value_name = "KEY", requires = "policy")]
    policy_key: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Gate {
    None,
    Auto,
    Policy,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let policy = args.policy.as_deref().map(|policy| ("--policy", policy));
    let model = args.model.path()?;
    let files = policy.into_iter().chain([("--model", model)]);
    args.json.beside(files)?;
    if let (Some(Gate::None | Gate::Auto), Some((_, policy))) = (args.gate, policy) {
        let policy = policy.display();
        return Err(Failure::input(format!(
            "--policy {policy} would not be used: it goes with --gate policy, or without --gate"
        )));
    }
    let opened = Opened::read(model, args.reading)?;
    let mut contents = Contents::of(&opened, args.reading.flavor, args.tensors);
    if args.ln_stats {
        contents.norms = Some(Norms::of(&opened.gguf, &args)?);
    }
    opened.input.still_holds()?;
    contents.conclude(args.strictness.strict);
    let outcome = contents.status.outcome();
    let text = text::render(&contents);
    finish(outcome, &text, &contents, &args.json)
}
