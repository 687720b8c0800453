//! `harness compare`: what sets two things of a kind apart: models, outputs, engines, receipts.

mod engines;
mod models;
mod outputs;
mod receipts;

use std::path::Path;

use engine::kernels::Kernel;
use engine::numerics::Profile;
use serde::Serialize;

use crate::command::finish::finish;
use crate::command::flags::{self, Html, Json};
use crate::command::own_tolerances::OwnTolerances;
use crate::exit::{Exit, Failure};
use crate::file::reading::Reading;
use crate::judge::outcome::Outcome;
use crate::runner::subject::{Spec, saved};

const HELP: &str = "\
Examples:
  harness compare model.gguf instruct.gguf  # exits 1: one brings a chat template
  harness compare model.gguf instruct.gguf --prompt 'Call me Ishmael.'  # exits 1
  harness compare model.gguf model.gguf --prompt 'Call me Ishmael.' --json -
  harness compare logits.npy other.npy
  harness compare logits.npy other.npy --html compare.html
  harness compare logits.npy other.npy --ulp 0 # exits 1: another order of sums
  harness compare --reference bitnet --reference bitnet-portable
  harness compare bitnet 'cmd: harness eval --model {model} --tokens {tokens} --logits {logits}' \\
      --model model.gguf --prompt 'Call me Ishmael.'
  harness compare yesterday.json today.json

The first is the one that is believed. What each is it is told by:
  model      a GGUF file
  output     logits and nodes, as `crossval --subject` reads them: .npy, .safetensors, .jsonl, raw
             with --shape; `prefill=A,decode=B,trace=C`; a folder with a recording.json
  engine     a folder with a build of a C++ reference, or its name; `cmd: …`, `serve: …`, `lib:…`
  receipt    what `crossval --json` wrote
Two of one kind are compared, two of different kinds are refused.

Models: a tensor is said to be exchanged with another, scaled by one factor, negated, or to have its
rows moved, where that explains every value. With a prompt the engine computes both files, then
every operation of the second alone on the first one's inputs: each that gives something else is
named with its tensor, whatever the damage before it did. Exit code 0 where nothing differs that a
computation can notice: the same values in another format and keys under general. that only describe
are told and change nothing; 1 otherwise.
Outputs: every position and node; equal bits exit 0, else tolerances decide, as in `crossval`.
Engines: both are asked the cases, or --prompt on --model; the second's operations are judged alone
on the first one's inputs, where it goes on from values that it is given.
Receipts: which claims changed, which coverage, which environment; the last alone exits 0.";

/// Show what sets two models, outputs, engines or receipts apart
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The two, the believed one first
    #[arg(value_name = "WHAT", num_args = 0..=2)]
    what: Vec<String>,

    /// A C++ reference, by name or directory, instead of one of them
    #[arg(long, value_name = "NAME|DIR")]
    reference: Vec<String>,

    /// Engines: ask about this model, with --prompt, instead of the fixtures'
    #[arg(short, long, value_name = "FILE")]
    model: Option<std::path::PathBuf>,

    /// Models, engines: compute this prompt
    #[arg(short, long, value_name = "TEXT", value_parser = flags::text)]
    prompt: Option<String>,

    /// Engines: the cases of that name only, whole, a part, or with * [default: all with a trace]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["model", "prompt"])]
    case: Vec<String>,

    /// Outputs: rows and length of a row of files of raw f32
    #[arg(long, value_name = "ROWS,VOCAB", value_delimiter = ',')]
    shape: Vec<usize>,

    /// Models: order of float operations [default: ggml-avx512]
    #[arg(long, value_name = "NAME", value_parser = flags::profile)]
    profile: Option<Profile>,

    /// Inner loops to use instead of the fastest this CPU has; none changes a result
    #[arg(long, value_name = "NAME", value_parser = flags::kernel)]
    kernel: Option<Kernel>,

    #[command(flatten)]
    tolerances: OwnTolerances,

    #[command(flatten)]
    reading: Reading,

    #[command(flatten)]
    json: Json,

    #[command(flatten)]
    html: Html,
}

/// What can be compared with its like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Output,
    Recording,
    Engine,
    Receipt,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let words: Vec<&String> = args.reference.iter().chain(&args.what).collect();
    let [first, second] = words[..] else {
        let count = words.len();
        let message = "two things are compared: type both, or --reference for an engine";
        return Err(Failure::input(format!("{message}; there are {count}")));
    };
    let read = [first, second].map(Path::new);
    let read = [("the first", read[0]), ("the second", read[1])];
    let roles = args.json.beside(read)?;
    args.html.beside(roles)?;
    let kinds = [args.kind(first)?, args.kind(second)?];
    let [one, other] = kinds;
    if one != other {
        return Err(Failure::input(format!(
            "{first} is {}, {second} is {}: two of one kind are compared",
            one.words(),
            other.words()
        )));
    }
    args.takes(one)?;
    let files = read.map(|(_, path)| path);
    match one {
        Kind::Model => models::run(&args, files),
        Kind::Output => outputs::of_files(&args, [first, second]),
        Kind::Recording => outputs::of_recordings(&args, files),
        Kind::Engine => engines::run(&args, [first, second]),
        Kind::Receipt => receipts::run(&args, files),
    }
}

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Kind::Model => "a model",
            Kind::Output => "an output",
            Kind::Recording => "a recording",
            Kind::Engine => "an engine",
            Kind::Receipt => "a receipt",
        }
    }
}

impl Args {
    /// The order of float operations in which models are computed.
    fn order(&self) -> Profile {
        self.profile.unwrap_or_default()
    }

    /// What a word names, told by what lies there.
    fn kind(&self, word: &String) -> Result<Kind, Failure> {
        let path = Path::new(word);
        if self.reference.contains(word) {
            return Ok(Kind::Engine);
        }
        if path.is_dir() {
            let recorded = path.join("recording.json").is_file();
            return Ok(if recorded {
                Kind::Recording
            } else {
                Kind::Engine
            });
        }
        if path.is_file() {
            return self.kind_of_file(path);
        }
        if ffi::reference::Spec::parse(word).is_ok() {
            return Ok(Kind::Engine);
        }
        match word.parse::<Spec>() {
            Ok(Spec::Saved(parts)) if parts.iter().all(|(_, path)| path.is_file()) => {
                Ok(Kind::Output)
            }
            Ok(Spec::Saved(_)) | Err(_) => Err(Failure::input(format!(
                "there is no {word}: it is no file, no folder, no reference that is known and no \
                 engine like `serve: COMMAND`"
            ))),
            Ok(_) => Ok(Kind::Engine),
        }
    }

    fn kind_of_file(&self, path: &Path) -> Result<Kind, Failure> {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        match &*extension {
            "gguf" => return Ok(Kind::Model),
            "npy" | "safetensors" | "jsonl" => return Ok(Kind::Output),
            "json" => return Ok(Kind::Receipt),
            _ => {}
        }
        let mut begin = [0; 4];
        let file = std::fs::File::open(path).map_err(Failure::environment)?;
        let read = std::io::Read::read(&mut { file }, &mut begin).map_err(Failure::environment)?;
        match &begin[..read] {
            b"GGUF" => Ok(Kind::Model),
            _ if !self.shape.is_empty() => Ok(Kind::Output),
            [b'{', ..] => Ok(Kind::Receipt),
            _ => Err(Failure::input(format!(
                "{} is no model (.gguf), no output (.npy, .safetensors, .jsonl, raw with --shape) \
                 and no receipt (.json)",
                path.display()
            ))),
        }
    }

    /// The end of a comparison: text, JSON and page.
    fn finish(
        &self,
        outcome: Outcome,
        text: &str,
        result: &impl Serialize,
    ) -> Result<Exit, Failure> {
        let text = if self.html.takes_stdout() { "" } else { text };
        let ended = finish(outcome, text, result, &self.json)?;
        Ok(self.html.show(ended, result))
    }

    /// Refuses flags that would be read by nobody.
    fn takes(&self, kind: Kind) -> Result<(), Failure> {
        let computes = matches!(kind, Kind::Model | Kind::Engine);
        let output = matches!(kind, Kind::Output | Kind::Recording);
        let engine = kind == Kind::Engine;
        for (given, meant, flag) in [
            (self.model.is_some(), engine, "--model"),
            (!self.case.is_empty(), engine, "--case"),
            (self.prompt.is_some(), computes, "--prompt"),
            (self.profile.is_some(), kind == Kind::Model, "--profile"),
            (self.kernel.is_some(), computes, "--kernel"),
            (!self.shape.is_empty(), kind == Kind::Output, "--shape"),
            (self.tolerances.any(), output || engine, "an own tolerance"),
        ] {
            if given && !meant {
                let (kind, words) = (kind.words(), "means nothing where the two are each");
                return Err(Failure::input(format!("{flag} {words} {kind}")));
            }
        }
        if engine && self.prompt.is_some() != self.model.is_some() {
            let message = "engines are asked a --prompt on a --model, or the fixtures' cases";
            return Err(Failure::input(message));
        }
        Ok(())
    }

    /// The files of one output.
    fn parts(word: &str) -> Result<Vec<(saved::Part, std::path::PathBuf)>, Failure> {
        saved::parts(word).map_err(Failure::input)
    }
}
