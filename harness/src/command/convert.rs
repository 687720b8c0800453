//! `harness convert`: a Hugging Face checkpoint into a GGUF file.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use engine::Model;
use engine::bytes::Storage;
use engine::checkpoint::{
    Checkpoint, Floats, Options, Plan, Planned, Said, ScaleRule, Target, Written,
};
use engine::config::Architecture;
use engine::refusal::escape;
use engine::session::OpenOptions;
use serde_json::{Value, json};

use crate::command::finish::finish;
use crate::command::flags::{Json, positive_number};
use crate::exit::{Exit, Failure};
use crate::fixture::random;
use crate::io::atomic::Unfinished;
use crate::io::destination::{Destination, FileRoles};
use crate::io::table::{Table, number, scientific, words};
use crate::io::{output, progress};
use crate::judge::outcome::Outcome;

const EXAMPLE: &str = "\
Examples:
  harness convert checkpoint -o converted.gguf
  harness convert checkpoint -o tq2_0.gguf --type tq2_0 --json
  harness convert checkpoint --arch bitnet --name silu -o bitnet.gguf
  harness convert checkpoint --dry-run

A checkpoint is a folder with config.json, tokenizer.json and model.safetensors, or the shards that
model.safetensors.index.json names. Nothing is guessed about its weights:

  scales that are missing      refused, unless --missing-scale says what they are
  weights that are ternary and would be ternarised again when they are loaded
                               refused, unless --ternary says which is meant
  a scale that no model has    refused, unless --scale says what it does
  tensors that the configuration contradicts, or that the architecture does not have
                               refused

Norms and biases are written as F32. The file appears when it is whole.";

/// Convert a Hugging Face checkpoint to GGUF
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The folder of the checkpoint
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,

    /// Where the model goes
    #[arg(short, long, value_name = "FILE", required_unless_present = "dry_run")]
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
        .fold(FileRoles::default(), |roles, path| roles.reads("", path))
        .writes("--output", output.as_ref())?;
    roles.writes("--json", args.json.to.as_ref())?;
    let plan = checkpoint.plan(&args.options())?;
    for note in &plan.notes {
        output::tell(format!("note: {}", escape(note)));
    }
    match &args.output {
        Some(path) if !args.dry_run => write(&args, &plan, path),
        _ => {
            let (text, result) = (planned(&plan), planned_json(&plan));
            finish(Outcome::Ok, &text, &result, &args.json)
        }
    }
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
fn write(args: &Args, plan: &Plan, path: &Path) -> Result<Exit, Failure> {
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
    let bytes: u64 = written.iter().map(|tensor| tensor.bytes).sum();
    let columns = [
        words("tensor"),
        words("from"),
        words("to"),
        number("bytes"),
        number("scale"),
        number("changed"),
        number("by at most"),
        words("how"),
    ];
    let mut table = Table::new(&columns);
    for tensor in &written {
        table.row([
            escape(&tensor.name),
            tensor.dtype.to_lowercase(),
            tensor.target.to_owned(),
            tensor.bytes.to_string(),
            tensor
                .scale
                .map_or_else(String::new, |scale| scale.to_string()),
            tensor.changed.to_string(),
            scientific(Some(tensor.worst.into())),
            tensor.how.to_owned(),
        ]);
    }
    let mut text = table.render(output::width());
    let count = written.len();
    text += &format!("{}: {count} tensors, {bytes} bytes\n", path.display());
    let result = json!({
        "output": path.display().to_string(),
        "notes": plan.notes,
        "tensors": written.iter().map(written_json).collect::<Vec<_>>(),
    });
    finish(Outcome::Ok, &text, &result, &args.json)
}

fn written_json(tensor: &Written) -> Value {
    json!({
        "name": tensor.name,
        "source": tensor.source,
        "dtype": tensor.dtype,
        "type": tensor.target,
        "bytes": tensor.bytes,
        "how": tensor.how,
        "scale": tensor.scale,
        "values_changed": tensor.changed,
        "largest_change": tensor.worst,
    })
}

fn planned(plan: &Plan) -> String {
    let columns = [words("tensor"), words("dims"), words("to"), number("bytes")];
    let mut table = Table::new(&columns);
    for tensor in &plan.tensors {
        table.row([
            escape(&tensor.name),
            format!("{:?}", tensor.dims),
            tensor.target.name.to_owned(),
            tensor.bytes.to_string(),
        ]);
    }
    let bytes: u64 = plan.tensors.iter().map(|tensor| tensor.bytes).sum();
    let count = plan.tensors.len();
    table.render(output::width()) + &format!("{count} tensors, {bytes} bytes; nothing is written\n")
}

fn planned_json(plan: &Plan) -> Value {
    let tensor = |tensor: &Planned| {
        json!({
            "name": tensor.name,
            "dims": tensor.dims,
            "type": tensor.target.name,
            "bytes": tensor.bytes,
        })
    };
    let tensors: Vec<Value> = plan.tensors.iter().map(tensor).collect();
    json!({ "output": null, "notes": plan.notes, "tensors": tensors })
}
