//! `harness convert`: a Hugging Face checkpoint into a GGUF file.

mod told;

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use engine::Model;
use engine::bytes::Storage;
use engine::checkpoint::{Checkpoint, Floats, Options, Plan, Said, ScaleRule, Target};
use engine::config::Architecture;
use engine::refusal::escape;
use engine::session::OpenOptions;
use serde_json::json;

use crate::command::finish::finish;
use crate::command::flags::{Json, positive_number};
use crate::exit::{Exit, Failure};
use crate::file::reading::Reading;
use crate::fixture::random;
use crate::io::atomic::Unfinished;
use crate::io::destination::{Destination, FileRoles};
use crate::io::{output, progress};
use crate::judge::outcome::Outcome;
use crate::oracle::convert::{Report, examine};

const EXAMPLE: &str = "\
Examples:
  harness convert checkpoint -o converted.gguf
  harness convert checkpoint -o tq2_0.gguf --type tq2_0 --json
  harness convert checkpoint --arch bitnet --name silu -o bitnet.gguf
  harness convert checkpoint --dry-run
  harness convert checkpoint -o verified.gguf --verify
  harness convert checkpoint --against model.gguf
  harness convert checkpoint --against model.gguf --dialect bitnet.cpp

A checkpoint is a folder with config.json, tokenizer.json and model.safetensors, or the shards that
model.safetensors.index.json names. Nothing is guessed about its weights:

  scales that are missing      refused, unless --missing-scale says what they are
  weights that are ternary and would be ternarised again when they are loaded
                               refused, unless --ternary says which is meant
  a scale that no model has    refused, unless --scale says what it does
  tensors that the configuration contradicts, or that the architecture does not have
                               refused

Norms and biases are written as F32. The file appears when it is whole.

--verify, and --against for a file from elsewhere, ask three questions: is every weight the
checkpoint's, up to what its type cannot hold; do both give the same bits in plain floats, and if
not, which node is the first that differs; how far are the logits of the file as it runs, by cosine,
KL and the likeliest token. A wrong answer is exit 1. The checkpoint is understood as when it is
converted, so look at the surprise as well: at that of a model that knows nothing, the text or the
understanding is wrong. Takes the room of two F32 copies of the model in the temporary folder.";

/// Ordinary enough for any model of English.
const TEXT: &str =
    "It was a bright cold day, and the captain said that the ship would sail at noon.";

/// Convert a Hugging Face checkpoint to GGUF
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The folder of the checkpoint
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,

    /// Where the model goes
    #[arg(short, long, value_name = "FILE", required_unless_present_any = ["dry_run", "against"])]
    output: Option<PathBuf>,

    /// How linear weights are written: i2_s, tq1_0, tq2_0, f16, bf16, f32, q8_0, …
    #[arg(long = "type", value_name = "TYPE", default_value = "i2_s", value_parser = Target::named)]
    target: &'static Target,

    /// How the table of embeddings and the head are written [default: as --type, f16 beside a
    /// ternary one]
    #[arg(long, value_name = "TYPE", value_parser = Target::named)]
    table: Option<&'static Target>,

    /// Architecture of the file instead of the one that the class of the model stands for
    #[arg(long, value_name = "NAME", value_parser = random::architecture_by_name)]
    arch: Option<Architecture>,

    /// Name of the model [default: that of the folder]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Word rules of the tokenizer, where they are not recognised: llama-bpe, qwen2, falcon3, …
    #[arg(long, value_name = "NAME")]
    pre: Option<String>,

    /// What to do with linear weights that are floats
    #[arg(long, value_name = "HOW")]
    ternary: Option<Ternary>,

    /// What weight_scale does [default: as linear_class says]
    #[arg(long, value_name = "HOW")]
    scale: Option<Scale>,

    /// The scale of digits that have none
    #[arg(long, value_name = "NUMBER", value_parser = positive_number)]
    missing_scale: Option<f32>,

    /// Compare the written file with the checkpoint
    #[arg(long, conflicts_with = "dry_run")]
    verify: bool,

    /// Compare this file with the checkpoint, and write none
    #[arg(long, value_name = "FILE", conflicts_with_all = ["output", "dry_run", "verify"])]
    against: Option<PathBuf>,

    #[command(flatten)]
    reading: Reading,

    /// The text that both read
    #[arg(long, value_name = "TEXT", default_value = TEXT)]
    text: String,

    /// Say what would be written, tensor by tensor, and write nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    json: Json,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Ternary {
    /// They are ternary and keep their scale
    AsIs,
    /// They become ternary under the mean of their magnitudes
    Absmean,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Scale {
    /// A weight is its digit times the scale (AutoBitLinear)
    Multiply,
    /// A weight is its digit over the scale (BitLinear)
    Divide,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let checkpoint = Checkpoint::open(&args.folder)?;
    let output = args.output.clone().map(Destination::Path);
    let files = checkpoint.files();
    let roles = files
        .iter()
        .chain(&args.against)
        .fold(FileRoles::default(), |roles, path| roles.reads("", path))
        .writes("--output", output.as_ref())?;
    roles.writes("--json", args.json.to.as_ref())?;
    let plan = checkpoint.plan(&args.options())?;
    for note in &plan.notes {
        output::tell(format!("note: {}", escape(note)));
    }
    if let Some(file) = &args.against {
        let report = verify(&args, &checkpoint, file)?;
        let text = told::verified(&report);
        return finish(
            report.outcome,
            &text,
            &json!({ "verified": report }),
            &args.json,
        );
    }
    match &args.output {
        Some(path) if !args.dry_run => write(&args, &checkpoint, &plan, path),
        _ => {
            let (text, result) = (told::planned(&plan), told::planned_json(&plan));
            finish(Outcome::Ok, &text, &result, &args.json)
        }
    }
}

/// The checkpoint as a file of floats, beside the file in question.
fn verify(args: &Args, checkpoint: &Checkpoint, file: &Path) -> Result<Report, Failure> {
    let folder = tempfile::tempdir().map_err(Failure::environment)?;
    let path = folder.path().join("checkpoint-f32.gguf");
    let f32 = Target::named("f32").expect("a name of the table");
    let options = Options {
        target: f32,
        table: f32,
        ..args.options()
    };
    let waiting = progress::spinner("verifying");
    let mut floats = Unfinished::create(&path).map_err(Failure::environment)?;
    checkpoint.plan(&options)?.write(&mut floats, |_| ())?;
    floats.commit().map_err(Failure::environment)?;
    let report = examine(&path, file, args.reading, &args.text)?;
    waiting.finish_and_clear();
    Ok(report)
}

impl Args {
    fn options(&self) -> Options {
        let f16 = Target::named("f16").expect("a name of the table");
        let table = if self.target.is_ternary() {
            f16
        } else {
            self.target
        };
        Options {
            target: self.target,
            table: self.table.unwrap_or(table),
            architecture: self.arch,
            name: self.name.clone(),
            word_rules: self.pre.clone(),
            said: Said {
                floats: self.ternary.map(|ternary| match ternary {
                    Ternary::AsIs => Floats::AsIs,
                    Ternary::Absmean => Floats::Absmean,
                }),
                rule: self.scale.map(|scale| match scale {
                    Scale::Multiply => ScaleRule::Multiply,
                    Scale::Divide => ScaleRule::Divide,
                }),
                missing_scale: self.missing_scale,
            },
        }
    }
}

/// Writes the file beside its place and opens it there as any program would, before it is in it.
fn write(args: &Args, checkpoint: &Checkpoint, plan: &Plan, path: &Path) -> Result<Exit, Failure> {
    let mut file = Unfinished::create(path).map_err(Failure::environment)?;
    let bar = progress::bar(plan.to_read(), "bytes");
    let written = plan.write(&mut file, |bytes| bar.inc(bytes))?;
    bar.finish_and_clear();
    if let Some(beside) = file.content().map_err(Failure::environment)? {
        let storage = Storage::Map;
        Model::open(
            beside,
            &OpenOptions {
                storage,
                ..OpenOptions::default()
            },
        )?;
    }
    file.commit().map_err(Failure::environment)?;
    let report = args.verify.then(|| verify(args, checkpoint, path));
    let report = report.transpose()?;
    let mut text = told::written(&written, path);
    text += &report.as_ref().map_or_else(String::new, told::verified);
    let outcome = report.as_ref().map_or(Outcome::Ok, |report| report.outcome);
    let result = json!({
        "output": path.display().to_string(),
        "notes": plan.notes,
        "tensors": written.iter().map(told::written_json).collect::<Vec<_>>(),
        "verified": report,
    });
    finish(outcome, &text, &result, &args.json)
}
