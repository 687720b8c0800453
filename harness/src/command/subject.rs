//! `harness subject`: how an engine of one's own is connected, and whether one is connected right.

use std::time::Duration;

use engine::kernels::Kernel;

use crate::command::finish::finish;
use crate::command::flags::{self, Json, OneModel};
use crate::exit::{Exit, Failure};
use crate::file::provenance::Input;
use crate::io::output;
use crate::judge::demand::Demand;
use crate::oracle::subject::{Report, check};
use crate::reference::isolation::Limits;
use crate::runner::ModelFile;
use crate::runner::Runner;
use crate::runner::engine::{Engine, tokenize};
use crate::runner::subject::{Options, Spec, brought::Brought};

/// The protocol, on one page.
const PROTOCOL: &str = r#"
Ways in, for --subject of crossval, trace, compare, attribute, metamorphic, shapes and perplexity,
and for `subject check`:
  FILE            saved logits; see `harness crossval --help`
  cmd: COMMAND    a program, run once for each prompt and lane; see `harness crossval --help`
  serve: COMMAND  a process that stays up and speaks the protocol below on its standard streams
  lib:FILE        a shared library with the five functions of adapters/subject.h
  http://…        a server; see `harness crossval --help`
adapters/subject.py is the protocol in Python, for a file that copies it; adapters/subject.h makes
either of the middle two of five C functions. What an engine prints to standard error is kept, and
its end told if it dies. It has --patience seconds for an answer.

The protocol, version 1. Each request is one line of JSON, and so is its one answer: an object with
"ok": true and what the request asks for, or {"ok": false, "error": "why"}, after which the next
request is another matter. Arrays of floats are base64 of little-endian IEEE single precision, row
after row. Unknown members are to be ignored.

  {"op":"hello","protocol":1}
      {"ok":true,"protocol":1,"name":"my-engine 1.2","profile":"ggml-avx2",
       "offers":["tokenize","prefill","decode","rows","nodes","replace","greedy","detokenize",
                 "truncate"]}
      profile is the arithmetic it claims to have to the bit, and is left out where it claims none.
      What it cannot do it does not offer, and is not asked for: prefill, many tokens at once;
      decode, one after others; rows, whole rows of logits, without which nothing can be judged
      yet; greedy, to go on behind what was fed; the others as they are called below.
  {"op":"open","model":"/path/to/model.gguf"}
      {"ok":true,"vocab":1024}      what follows is about this file
  {"op":"tokenize","text":"Call me"}
      {"ok":true,"tokens":[1022,34,392]}      special tokens added, and read in the text
  {"op":"detokenize","tokens":[1022,34]}
      {"ok":true,"text":"<s>Call"}            special tokens shown
  {"op":"begin","context":27,"ubatch":512,"threads":1,"nodes":false}
      {"ok":true}                   an empty cache for so many positions; nodes: show them
  {"op":"feed","tokens":[1022,34,392],"logits":"all"}
      {"ok":true,"logits":"…"}      of each token, or with "last" of the last one only; where nodes
                                    are shown "nodes":[{"key":"Qcur-0|MUL_MAT#0","shape":[3,256],
                                    "data":"…"}, …] as well, in the order they were computed
      With the ability to replace, begin may have a member "replace":[{"key":"…","shape":[3,256],
      "data":"…"}, …]: each such node is computed and shown as always; then the values given here
      take its place, and what follows computes on them. So every operation is judged alone, on the
      reference's inputs (`trace`, `compare`), and modules are swapped (`attribute`).
  {"op":"truncate","length":2}
      {"ok":true}                   forgets every position from this one on
  {"op":"bye"}
      {"ok":true}, and the process ends

Examples:
  harness subject check 'cmd: harness eval --model {model} --tokens {tokens} --logits {logits}' \
      --model model.gguf"#;

/// Connect an engine of one's own, or see whether one is connected right
#[derive(clap::Args)]
#[command(after_help = PROTOCOL)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Ask an engine for all it offers, and for what must not depend on what it was asked before
    Check(Check),
}

#[derive(clap::Args)]
struct Check {
    /// The engine: `cmd: COMMAND`, `serve: COMMAND`, `lib:FILE`
    #[arg(value_name = "WHAT", value_parser = str::parse::<Spec>)]
    subject: Spec,

    #[command(flatten)]
    model: OneModel,

    /// What it computes
    #[arg(short, long, value_name = "TEXT", default_value = "Call me Ishmael.")]
    #[arg(value_parser = flags::text)]
    prompt: String,

    /// Hand it the two-bit weights as F32
    #[arg(long)]
    wide: bool,

    /// Seconds it may take for an answer
    #[arg(long, value_name = "N", default_value = "120", value_parser = flags::seconds)]
    patience: Duration,

    #[command(flatten)]
    json: Json,
}

/// Runs the command.
pub fn run(
    Args {
        action: Action::Check(args),
    }: Args,
) -> Result<Exit, Failure> {
    args.json.beside([("--model", args.model.path()?)])?;
    if let Spec::Saved(_) = args.subject {
        let message = "files answer nothing: give them to `harness crossval --subject`";
        return Err(Failure::input(message));
    }
    let (input, _) = Input::read(args.model.path()?)?;
    let host = Engine::new(Kernel::best(), 1);
    let model = host.model(&input)?;
    let tokens = tokenize(&model, &args.prompt)?;
    drop(model);
    let options = Options {
        tokens: None,
        shape: Vec::new(),
        profile: None,
        demand: Demand::Nearest,
        limits: Limits {
            patience: args.patience,
            ..Limits::default()
        },
        wide: args.wide,
        host,
    };
    let mut brought = Brought::start(&args.subject, options)?;
    let (identity, lacking) = (brought.identity(), brought.lacking());
    let mut opened = brought.open(ModelFile::Read(&input))?;
    let report = Report {
        engine: identity.name,
        profile: identity.profile,
        checks: check(&mut *opened, &lacking, (&args.prompt, tokens)),
    };
    finish(
        report.outcome(),
        &report.render(output::width()),
        &report,
        &args.json,
    )
}
