//! `harness export`: a model file with its weights in another format, and what that loses.

mod report;
mod speed;

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::ValueEnum;
use engine::Model;
use engine::bytes::{ModelBytes, Storage};
use engine::encoding::Author;
use engine::export::{
    ExportConfig, ExportError, FileSource, Importance, Plan, Source, TensorSpec, file_bytes, write,
};
use engine::format::Format;
use engine::gguf::writer::Field;
use engine::gguf::{Gguf, Value};

use super::finish::finish;
use crate::command::flags;
use crate::exit::{Exit, Failure};
use crate::file::provenance::Input;
use crate::file::reading::Reading;
use crate::io::destination::{Destination, FileRoles};
use crate::io::progress;
use crate::judge::outcome::Outcome;
use crate::oracle::importance;
use crate::oracle::perplexity::{Chunks, measure_models};
use crate::reference::{self, isolation::Limits};
use crate::runner::kernels::iq2_s;
use crate::runner::kernels::live::ReferenceKernels;

use report::Evaluation;
use speed::Speed;

const HELP: &str = "\
Examples:
  harness export model.gguf -o small.gguf --format q4_0
  harness export model.gguf -o small.gguf --format q6_k --tables --json small.json
  harness export model.gguf -o part.gguf --format q8_0 --only 'blk.*.ffn_*' --keep-f32 '*down*'
  harness export model.gguf -o small.gguf --format tq2_0 --name 'my model' --dry-run
  harness export model.gguf -o small.gguf --format q4_k --eval chapter.txt --context 64
  harness export model.gguf -o small.gguf --format q4_k --imatrix importance.gguf
  harness export model.gguf -o wide.gguf --format f16 --iq2-s ffi --reference bitnet
  harness export model.gguf -o small.gguf --format q2_k --importance README.md \\
      --eval chapter.txt --context 64

Everything but the weights stays as it is in the file. Vectors stay in single precision, and the
tables of tokens (token_embd.weight, output.weight) unless --tables is given; rows that are no
whole blocks do, too. Each of that is told. A file is written whole or not at all.

--eval lets both files read a text, as `harness perplexity` does: how far the expectations of the
new one lie from those of the old one, and how much the text surprises each.
--importance lets the old one read a text first, and --imatrix takes what llama-imatrix (GGUF) found
on one: the error of columns that matter more counts more then, in the formats that search for their
codes (q4_0 to q5_1, q2_k to q6_k). Compare on another text than that.";

/// Write a model with its weights in another format, and say what that loses
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The model, a GGUF file
    #[arg(value_name = "IN")]
    input: PathBuf,

    /// Where the new one goes
    #[arg(
        short,
        long,
        value_name = "FILE|-",
        required_unless_present = "dry_run"
    )]
    output: Option<Destination>,

    /// What the weights become: f16, q8_0, q4_k, tq2_0, i2_s-p128, …
    #[arg(long, value_name = "FORMAT")]
    format: String,

    /// Keep tensors of that name in single precision, * for any letters; may be given several times
    #[arg(long, value_name = "PATTERN")]
    keep_f32: Vec<String>,

    /// Quantise tensors of that name alone; may be given several times
    #[arg(long, value_name = "PATTERN")]
    only: Vec<String>,

    /// Quantise the tables of tokens as well
    #[arg(long)]
    tables: bool,

    /// Quantise vectors as well, which no loader but OxiBonsai's reads
    #[arg(long)]
    vectors: bool,

    /// Fill partial blocks with zeros, which no loader but OxiBonsai's reads
    #[arg(long)]
    pad: bool,

    /// Whose quantiser is followed to the bit: upstream llama.cpp's, or bitnet.cpp's
    #[arg(long = "as", value_name = "AUTHOR", default_value = "upstream", value_parser = author)]
    author: Author,

    /// Weigh the errors of columns by what they are multiplied with on this text, UTF-8
    #[arg(long, value_name = "FILE", conflicts_with = "imatrix")]
    importance: Option<PathBuf>,

    /// Weigh the errors of columns by this file of llama-imatrix
    #[arg(long, value_name = "FILE")]
    imatrix: Option<PathBuf>,

    /// Compare the new file with the old one on this text, UTF-8
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    eval: Option<PathBuf>,

    /// Who decodes IQ2_S, whose codebook follows from no rule: nobody, or a C++ reference's own
    /// function
    #[arg(
        long,
        value_name = "WHO",
        env = "BITNET_IQ2S_IMPL",
        hide_env_values = true,
        default_value = "rust"
    )]
    iq2_s: Iq2s,

    /// The C++ reference that decodes it, by name or directory [default: BITNET_CPP_DIR]
    #[arg(long, value_name = "NAME|DIR")]
    reference: Option<String>,

    /// Time the quantiser of this C++ reference on the same file, too, which must be of a type that
    /// it quantises, as f16; may be given several times
    #[arg(long, value_name = "NAME|DIR", conflicts_with = "dry_run")]
    beside: Vec<String>,

    /// Tokens of a chunk of a text [default: 512, or the model's context where that is shorter]
    #[arg(long, value_name = "N", value_parser = flags::positive)]
    context: Option<usize>,

    /// Chunks of it at most
    #[arg(long, value_name = "N", value_parser = flags::positive, requires = "eval")]
    chunks: Option<usize>,

    /// Name of the new model
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,

    /// Its version
    #[arg(long, value_name = "TEXT")]
    version: Option<String>,

    /// What it is
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,

    /// Write nothing; say what every tensor would become and the exact size of the file
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    reading: Reading,

    #[command(flatten)]
    json: flags::Json,
}

/// Who decodes IQ2_S.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Iq2s {
    /// The engine, which refuses it and says why
    Rust,
    /// A reference's own function
    Ffi,
}

/// The version of its quantisers that OxiBonsai writes as a text: what is written here is not its.
fn is_oxibonsai_s(key: &str, value: &Value<'_>) -> bool {
    key == "general.quantization_version" && matches!(value, Value::String(_))
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let roles = args
        .reads()
        .fold(FileRoles::default(), |roles, (flag, path)| {
            roles.reads(flag, path)
        });
    let roles = roles.writes("--output", args.output.as_ref())?;
    roles.writes("--json", args.json.to.as_ref())?;
    let eval = args.evaluated()?;
    let config = args.config()?;
    let (bytes, stamp) = ModelBytes::open(&args.input, Storage::Map)?;
    let source_bytes = bytes.clone();
    let gguf = args.readable(Gguf::parse_as(bytes, args.reading.dialect)?)?;
    let source = FileSource::new(&gguf, args.reading.flavor).map_err(refused)?;
    args.names_are_there(source.tensors())?;
    let plan = Plan::new(source.tensors(), &config).map_err(refused)?;
    let keys: Vec<(String, Field)> = gguf
        .metadata
        .iter()
        .filter(|(key, value)| !is_oxibonsai_s(key, value))
        .map(|(key, value)| (key.to_owned(), Field::from(value)))
        .collect();
    let mut losses = vec![None; plan.entries.len()];
    let started = Instant::now();
    if let (Some(to), false) = (&args.output, args.dry_run) {
        let bar = progress::bar(plan.entries.len() as u64, "exporting");
        let mut next = losses.iter_mut();
        to.write_with(|out| {
            write(&source, &plan, &config, &keys, out, &mut |written| {
                *next.next().expect("one for each of the plan") = Some(written.loss);
                bar.inc(1);
            })
            .map_err(refused)?;
            Ok(stamp.still_holds(&args.input)?)
        })?;
    }
    let took = started.elapsed();
    let size = file_bytes(&plan, &config, &keys);
    let mut report = args.report(&plan, source.tensors(), &losses, size);
    if let (Some(Destination::Path(to)), false) = (&args.output, args.dry_run) {
        report.warnings.extend(misread(to, &plan)?);
        let read = source_bytes.len() as u64;
        report.speed.push(Speed::ours(read, took));
        let others = speed::beside(&args.beside, &args.input, plan.format)?;
        report.speed.extend(others);
    }
    if let Some((text, to)) = eval {
        report.evaluation = Some(args.evaluate(text, to, plan.format)?);
    }
    let text = match &args.output {
        Some(Destination::Stdout) if !args.dry_run => String::new(),
        _ => report::text(&report),
    };
    finish(Outcome::Ok, &text, &report, &args.json)
}

impl Args {
    /// The file with what only a reference can decode as F32.
    fn readable(&self, gguf: Gguf) -> Result<Gguf, Failure> {
        if self.iq2_s == Iq2s::Rust || !iq2_s::is_there(&gguf) {
            return Ok(gguf);
        }
        let names: Vec<String> = self.reference.iter().cloned().collect();
        let references = reference::open(&names, Limits::with_cpu_seconds(3600))?;
        let Some(reference) = references.first() else {
            let message = "IQ2_S is decoded by a C++ reference's own function: name one with \
                           --reference, or set BITNET_CPP_DIR";
            return Err(Failure::new(Exit::ReferenceMissing, message));
        };
        let file = iq2_s::widened(&gguf, &mut ReferenceKernels::new(reference))?;
        Ok(Gguf::parse(ModelBytes::from_vec(file))?)
    }

    fn config(&self) -> Result<ExportConfig, Failure> {
        let mut config = ExportConfig::new(&self.format, "").map_err(refused)?;
        config.model_name.clone_from(&self.name);
        config.model_version.clone_from(&self.version);
        config.description.clone_from(&self.description);
        config.fp32_layers.clone_from(&self.keep_f32);
        if !self.tables {
            config
                .fp32_layers
                .extend(ExportConfig::default_fp32_exceptions());
        }
        config.quantize_layers = Some(self.only.clone()).filter(|only| !only.is_empty());
        config.quantize_vectors = self.vectors;
        config.pad_partial_blocks = self.pad;
        config.author = self.author;
        if let Some(path) = &self.imatrix {
            let (bytes, _) = ModelBytes::open(path, Storage::Map)?;
            let importance = Importance::read(&Gguf::parse(bytes)?);
            config.importance = Some(importance.map_err(|error| within(path, error))?);
        }
        if let Some(path) = &self.importance {
            let (_, text) = Input::read_text(path)?;
            let model = Model::open(&self.input, &self.reading.options(Storage::Map, None))?;
            let chunks = Chunks::of_text(&text, &model, self.context, None)?;
            let bar = progress::bar(chunks.count() as u64, "weighing");
            let importance = importance::measure(&model, chunks.each(), &mut || bar.inc(1));
            config.importance = Some(importance?);
            bar.finish_and_clear();
        }
        Ok(config)
    }

    /// The files that are read, by flag.
    fn reads(&self) -> impl Iterator<Item = (&str, &Path)> {
        let others = [
            ("--importance", &self.importance),
            ("--imatrix", &self.imatrix),
            ("--eval", &self.eval),
        ];
        let others = others
            .into_iter()
            .filter_map(|(flag, path)| Some((flag, path.as_deref()?)));
        [("IN", self.input.as_path())].into_iter().chain(others)
    }

    /// The text to compare on and the file to read it with, which a stream is not.
    fn evaluated(&self) -> Result<Option<(&Path, &Path)>, Failure> {
        match (&self.eval, &self.output) {
            (None, _) => Ok(None),
            (Some(text), Some(Destination::Path(to))) => Ok(Some((text, to))),
            (Some(_), _) => Err(Failure::input("--eval reads the new file again: name one")),
        }
    }

    /// Lets both files read the text, the new one as it is meant.
    fn evaluate(
        &self,
        text: &Path,
        exported: &Path,
        format: &Format,
    ) -> Result<Evaluation, Failure> {
        let (input, text) = Input::read_text(text)?;
        let source = Model::open(&self.input, &self.reading.options(Storage::Map, None))?;
        let meant = Reading {
            dialect: format.dialects.first().copied(),
            flavor: format.flavor,
        };
        let exported = Model::open(exported, &meant.options(Storage::Map, None))?;
        let chunks = Chunks::of_text(&text, &source, self.context, self.chunks)?;
        let bar = progress::bar(chunks.count() as u64, "chunks");
        let measured = measure_models(&chunks, &[&source, &exported], &mut || bar.inc(1))?;
        bar.finish_and_clear();
        let [source, exported] = <[_; 2]>::try_from(measured).expect("one a model");
        Ok(Evaluation::new(&input, &chunks, source, exported))
    }

    /// A pattern that names nothing is a slip.
    fn names_are_there(&self, tensors: &[TensorSpec]) -> Result<(), Failure> {
        for pattern in &self.keep_f32 {
            if !tensors.iter().any(|tensor| tensor.is_called(pattern)) {
                let first = tensors.first().map_or("none", |tensor| &tensor.name);
                return Err(Failure::input(format!(
                    "--keep-f32 {pattern}: no tensor is called so; the first is {first}"
                )));
            }
        }
        Ok(())
    }
}

fn author(name: &str) -> Result<Author, String> {
    Author::from_name(name).ok_or_else(|| "there are upstream and bitnet".into())
}

/// What a reader that is told nothing takes the new file's packing for, where that is another one.
fn misread(path: &Path, plan: &Plan) -> Result<Option<String>, Failure> {
    let (bytes, _) = ModelBytes::open(path, Storage::Map)?;
    let gguf = Gguf::parse(bytes)?;
    let read = FileSource::new(&gguf, None).map_err(refused)?;
    let pairs = plan.entries.iter().zip(read.tensors());
    let mut taken = pairs.filter(|(entry, read)| entry.format.name != read.written);
    Ok(taken.next().map(|(entry, read)| {
        let meant = match entry.format.dialects.first() {
            Some(dialect) => format!("--dialect {}", dialect.name()),
            None => format!("--flavor {}", entry.format.name),
        };
        format!(
            "its bytes are those of {} as well: wherever it is read, say {meant}",
            read.written
        )
    }))
}

fn within(path: &Path, error: ExportError) -> Failure {
    let failure = refused(error);
    let message = format!("{}: {}", path.display(), failure.message);
    Failure { message, ..failure }
}

fn refused(error: ExportError) -> Failure {
    match error {
        ExportError::Source(refusal) => refusal.into(),
        ExportError::Write(error) => Failure::environment(error),
        _ => Failure::input(error),
    }
}
