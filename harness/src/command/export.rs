//! `harness export`: a model file with its weights in another format, and what that loses.

use std::fmt::Write as _;
use std::path::PathBuf;

use engine::bytes::{ModelBytes, Storage};
use engine::encoding::Author;
use engine::export::{
    Entry, ExportConfig, ExportError, ExportStats, FileSource, Loss, Plan, Source, TensorSpec,
    file_bytes, write,
};
use engine::gguf::dialect::Dialect;
use engine::gguf::writer::Field;
use engine::gguf::{Gguf, Value};
use serde::Serialize;

use super::finish::finish;
use crate::command::flags;
use crate::exit::{Exit, Failure};
use crate::io::destination::{Destination, FileRoles};
use crate::io::table::{Table, number, scientific, words};
use crate::io::{output, progress};
use crate::judge::outcome::Outcome;

const HELP: &str = "\
Examples:
  harness export model.gguf -o small.gguf --format q4_0
  harness export model.gguf -o small.gguf --format q6_k --tables --json small.json
  harness export model.gguf -o part.gguf --format q8_0 --only 'blk.*.ffn_*' --keep-f32 '*down*'
  harness export model.gguf -o small.gguf --format tq2_0 --name 'my model' --dry-run

Everything but the weights stays as it is in the file. Vectors stay in single precision, and the
tables of tokens (token_embd.weight, output.weight) unless --tables is given; rows that are no
whole blocks do, too. Each of that is told. A file is written whole or not at all.";

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

    /// Whose GGUF the model is, where several would read the file differently
    #[arg(long, value_name = "NAME", value_parser = str::parse::<Dialect>)]
    dialect: Option<Dialect>,

    #[command(flatten)]
    json: flags::Json,
}

/// What `--json` writes.
#[derive(Serialize)]
struct Report {
    schema_version: u32,
    input: String,
    output: Option<String>,
    format: &'static str,
    dry_run: bool,
    /// Size of the whole file.
    file_bytes: u64,
    tensors: Vec<Row>,
    /// Names of tensors without values, which are left out.
    empty: Vec<String>,
    stats: Stats,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Stats {
    num_tensors: usize,
    quantized_tensors: usize,
    fp32_tensors: usize,
    original_bytes: u64,
    exported_bytes: u64,
    compression_ratio: f64,
}

#[derive(Serialize)]
struct Row {
    name: String,
    dims: Vec<u64>,
    from: &'static str,
    to: &'static str,
    bytes: u64,
    bits_per_weight: f64,
    /// Why it stays in single precision.
    kept: Option<String>,
    padding: usize,
    #[serde(flatten)]
    lost: Option<Lost>,
}

#[derive(Serialize, Clone, Copy)]
struct Lost {
    nmse: f64,
    max_error: f64,
    cosine: f64,
}

/// The version of its quantisers that OxiBonsai writes as a text: what is written here is not its.
fn is_oxibonsai_s(key: &str, value: &Value<'_>) -> bool {
    key == "general.quantization_version" && matches!(value, Value::String(_))
}

/// Above this, what was written is another matrix: a third of it is error.
const NOT_THE_SAME: f64 = 0.3;

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let roles = FileRoles::default().reads("IN", &args.input);
    let roles = roles.writes("--output", args.output.as_ref())?;
    roles.writes("--json", args.json.to.as_ref())?;
    let config = args.config()?;
    let (bytes, stamp) = ModelBytes::open(&args.input, Storage::Map)?;
    let gguf = Gguf::parse_as(bytes, args.dialect)?;
    let source = FileSource::new(&gguf).map_err(refused)?;
    args.names_are_there(source.tensors())?;
    let plan = Plan::new(source.tensors(), &config).map_err(refused)?;
    let keys: Vec<(String, Field)> = gguf
        .metadata
        .iter()
        .filter(|(key, value)| !is_oxibonsai_s(key, value))
        .map(|(key, value)| (key.to_owned(), Field::from(value)))
        .collect();
    let mut losses = vec![None; plan.entries.len()];
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
    let size = file_bytes(&plan, &config, &keys);
    let report = args.report(&plan, source.tensors(), &losses, size);
    let text = match &args.output {
        Some(Destination::Stdout) if !args.dry_run => String::new(),
        _ => text(&report),
    };
    finish(Outcome::Ok, &text, &report, &args.json)
}

impl Args {
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
        Ok(config)
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

    fn report(
        &self,
        plan: &Plan,
        specs: &[TensorSpec],
        losses: &[Option<Loss>],
        file_bytes: u64,
    ) -> Report {
        let rows = plan.entries.iter().zip(losses);
        let tensors: Vec<Row> = rows.map(|(e, loss)| row(e, specs, loss.as_ref())).collect();
        let far = |row: &&Row| row.lost.is_some_and(|lost| lost.nmse > NOT_THE_SAME);
        let warnings = tensors.iter().filter(far).map(|row| {
            format!(
                "{} lost {:.0} % of its energy: {} cannot say what is in it",
                row.name,
                100.0 * row.lost.map_or(0.0, |lost| lost.nmse),
                row.to
            )
        });
        let ExportStats {
            num_tensors,
            quantized_tensors,
            fp32_tensors,
            original_bytes,
            exported_bytes,
            compression_ratio,
        } = plan.stats();
        Report {
            schema_version: 1,
            input: self.input.display().to_string(),
            output: self.output.as_ref().map(ToString::to_string),
            format: plan.format.name,
            dry_run: self.dry_run,
            file_bytes,
            warnings: warnings.collect(),
            tensors,
            empty: plan.empty.clone(),
            stats: Stats {
                num_tensors,
                quantized_tensors,
                fp32_tensors,
                original_bytes,
                exported_bytes,
                compression_ratio,
            },
        }
    }
}

fn row(entry: &Entry, specs: &[TensorSpec], loss: Option<&Loss>) -> Row {
    Row {
        name: entry.name.clone(),
        dims: entry.dims.clone(),
        from: specs[entry.source].written,
        to: entry.format.name,
        bytes: entry.bytes,
        bits_per_weight: entry.bits_per_weight(),
        kept: entry.kept.map(|kept| kept.to_string()),
        padding: entry.padding,
        lost: loss.map(|loss| Lost {
            nmse: loss.nmse(),
            max_error: loss.largest(),
            cosine: loss.cosine(),
        }),
    }
}

fn text(report: &Report) -> String {
    let mut table = Table::of(
        &report.tensors,
        &[
            (words("tensor"), |row| row.name.clone()),
            (words("dims"), |row| {
                let dims: Vec<String> = row.dims.iter().map(u64::to_string).collect();
                dims.join("×")
            }),
            (words("from"), |row| row.from.into()),
            (words("to"), |row| row.to.into()),
            (number("bytes"), |row| row.bytes.to_string()),
            (number("bits"), |row| format!("{:.3}", row.bits_per_weight)),
            (number("nmse"), |row| lost(row, |lost| lost.nmse)),
            (number("max"), |row| lost(row, |lost| lost.max_error)),
            (number("cosine"), |row| {
                row.lost
                    .map_or("–".into(), |lost| format!("{:.6}", lost.cosine))
            }),
            (words("note"), |row| {
                let padded = (row.padding > 0).then(|| format!("{} zeros at its end", row.padding));
                let kept = row.kept.as_ref().map(|why| format!("stays: {why}"));
                kept.or(padded).unwrap_or_default()
            }),
        ],
    )
    .render(output::width());
    for name in &report.empty {
        let _ = writeln!(table, "{name} has no values and is left out");
    }
    for warning in &report.warnings {
        let _ = writeln!(table, "warning: {warning}");
    }
    let stats = &report.stats;
    let elements = stats.original_bytes / 4;
    let _ = writeln!(
        table,
        "{} tensors as {}, {} in single precision: {} bytes of {}, {:.3} bits a weight, ratio \
         {:.2}",
        stats.quantized_tensors,
        report.format,
        stats.fp32_tensors,
        stats.exported_bytes,
        stats.original_bytes,
        8.0 * stats.exported_bytes as f64 / elements.max(1) as f64,
        stats.compression_ratio,
    );
    let (to, bytes) = (
        report.output.as_deref().unwrap_or("the file"),
        report.file_bytes,
    );
    let verb = if report.dry_run { "would be" } else { "is" };
    let _ = writeln!(table, "{to} {verb} {bytes} bytes");
    table
}

fn lost(row: &Row, number: fn(Lost) -> f64) -> String {
    row.lost
        .map_or("–".into(), |lost| scientific(Some(number(lost))))
}

fn author(name: &str) -> Result<Author, String> {
    match name {
        "upstream" => Ok(Author::Upstream),
        "bitnet" => Ok(Author::Bitnet),
        _ => Err("there are upstream and bitnet".into()),
    }
}

fn refused(error: ExportError) -> Failure {
    match error {
        ExportError::Source(refusal) => refusal.into(),
        ExportError::Write(error) => Failure::environment(error),
        _ => Failure::input(error),
    }
}
