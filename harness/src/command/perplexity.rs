//! `harness perplexity`: how much a text surprises a model, and how far two computations or two
//! models lie apart on it.

use std::path::PathBuf;

use engine::kernels::Kernel;
use engine::numerics::Profile;
use engine::refusal::escape;
use serde::Serialize;

use crate::case::observation::Identity;
use crate::command::finish::finish;
use crate::command::flags::{self, Json};
use crate::exit::{Exit, Failure};
use crate::file::provenance::{Input, file_name};
use crate::io::table::{Cell, Column, Table, number, scientific, words};
use crate::io::{output, progress};
use crate::judge::outcome::Outcome;
use crate::oracle::perplexity::{Chunks, FromFirst, Measured, measure};
use crate::reference;
use crate::reference::isolation::Limits;
use crate::runner::engine::Engine;
use crate::runner::reference::Observing;
use crate::runner::{ModelFile, Opened, Runner};

const HELP: &str = "\
Examples:
  harness perplexity model.gguf --text chapter.txt --context 64
  harness perplexity model.gguf --text chapter.txt --context 64 --base instruct.gguf
  harness perplexity model.gguf --text chapter.txt --context 64 --reference bitnet --json -
  harness perplexity model.gguf --text chapter.txt --context 64 --reference bitnet --oracle

As llama-perplexity has it: chunks of --context tokens, each begun anew, of which the second half
counts. --base is the model that is believed: KL is of its expectations against the others'. Without
it the engine's on this model are, so that a reference's row shows how far it is from the engine. In
brackets is where a number lies 19 times out of 20, chunks drawn again.
--oracle puts a run in double precision first: no build's arithmetic, but what they all approximate.
The error of each is then its own, and the ratio says how many times the engine's it is: near 1
where as much is rounded, in whatever order; far above where something else is computed.";

/// How much a text surprises a model, and how far another model or computation is from it
#[derive(clap::Args)]
#[command(after_help = HELP, visible_alias = "kl")]
pub struct Args {
    /// The model, a GGUF file
    model: PathBuf,

    /// The text, UTF-8
    #[arg(long, visible_alias = "file", value_name = "FILE")]
    text: PathBuf,

    /// Tokens of a chunk [default: 512, or the model's context where that is shorter]
    #[arg(long, value_name = "N", value_parser = flags::positive)]
    context: Option<usize>,

    /// Chunks at most
    #[arg(long, value_name = "N", value_parser = flags::positive)]
    chunks: Option<usize>,

    /// The model that is believed, with the same vocabulary
    #[arg(long, value_name = "FILE")]
    base: Option<PathBuf>,

    /// Compare all of them with a run in double precision on this model
    #[arg(long, conflicts_with = "base")]
    oracle: bool,

    /// This C++ reference on the model as well; may be given several times
    #[arg(long, value_name = "NAME|DIR")]
    reference: Vec<String>,

    /// Order of float operations
    #[arg(long, value_name = "NAME", value_parser = flags::profile, default_value = "ggml-avx512")]
    profile: Profile,

    /// Inner loops to use instead of the fastest this CPU has; none changes a result
    #[arg(long, value_name = "NAME", value_parser = flags::kernel)]
    kernel: Option<Kernel>,

    #[command(flatten)]
    json: Json,
}

/// Everything that was measured.
#[derive(Serialize)]
struct Report {
    text: String,
    text_sha256: String,
    tokens: usize,
    context: usize,
    chunks: usize,
    rows: Vec<Row>,
}

/// One computation of one model.
#[derive(Serialize)]
struct Row {
    model: String,
    model_sha256: String,
    computed_by: Identity,
    /// How many times the engine's error against the run in double precision this one's is.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_ratio: Option<f64>,
    #[serde(flatten)]
    measured: Measured,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let base = args.base.as_deref().map(|base| ("--base", base));
    let read = [("the model", args.model.as_path()), ("--text", &args.text)];
    args.json.beside(read.into_iter().chain(base))?;
    let (text_input, text) = Input::read_text(&args.text)?;
    let references = reference::open(&args.reference, Limits::default())?;
    let (model, _) = Input::read(&args.model)?;
    let base = args.base.as_deref().map(Input::read).transpose()?;
    let base = base.map(|(input, _)| input);

    let engine = |profile| {
        let kernel = args.kernel.unwrap_or_else(Kernel::best);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Engine::new(kernel, cores).with_profile(profile)
    };
    let own = engine(args.profile);
    let chunks = Chunks::of_text(&text, &*own.model(&model)?, args.context, args.chunks)?;
    let mut runners: Vec<(&Input, Box<dyn Runner>)> = Vec::new();
    if let Some(base) = &base {
        runners.push((base, Box::new(engine(args.profile))));
    }
    if args.oracle {
        runners.push((&model, Box::new(engine(Profile::OracleF64))));
    }
    runners.push((&model, Box::new(own)));
    for reference in references {
        runners.push((&model, Box::new(Observing::new(reference))));
    }
    let identities: Vec<_> = runners
        .iter()
        .map(|(_, runner)| runner.identity())
        .collect();
    let inputs: Vec<&Input> = runners.iter().map(|(input, _)| *input).collect();
    let mut opened: Vec<Box<dyn Opened + '_>> = Vec::new();
    for (input, runner) in &mut runners {
        opened.push(runner.open(ModelFile::Read(input))?);
    }
    let bar = progress::bar(chunks.chunks.len() as u64, "chunks");
    let measured = measure(&chunks, &mut opened, &mut || bar.inc(1))?;
    bar.finish_and_clear();
    for input in inputs.iter().copied().chain([&text_input]) {
        input.still_holds()?;
    }
    let report = Report {
        text: args.text.display().to_string(),
        text_sha256: text_input.sha256.clone(),
        tokens: chunks.chunks.iter().map(Vec::len).sum(),
        context: chunks.chunks[0].len(),
        chunks: chunks.chunks.len(),
        rows: rows(measured, identities, &inputs, args.oracle),
    };
    finish(Outcome::Ok, &report.text(), &report, &args.json)
}

/// What was measured of each computation, and of which model it is.
fn rows(
    measured: Vec<Measured>,
    identities: Vec<Identity>,
    inputs: &[&Input],
    oracle: bool,
) -> Vec<Row> {
    let error = |measured: &Measured| measured.from_first.as_ref()?.error;
    let own = measured.get(1).and_then(error).filter(|_| oracle);
    let all = measured.into_iter().zip(identities).zip(inputs);
    all.map(|((measured, computed_by), input)| Row {
        model: file_name(&input.path),
        model_sha256: input.sha256.clone(),
        computed_by,
        error_ratio: own.zip(error(&measured)).map(|(own, error)| error / own),
        measured,
    })
    .collect()
}

/// A number and where it lies.
fn between(value: f64, interval: Option<[f64; 2]>, shown: fn(f64) -> String) -> String {
    let interval = interval.map(|[low, high]| format!(" [{}, {}]", shown(low), shown(high)));
    shown(value) + &interval.unwrap_or_default()
}

impl Report {
    fn text(&self) -> String {
        fn from(row: &Row, cell: impl Fn(&FromFirst) -> String) -> String {
            let from = row.measured.from_first.as_ref();
            from.map_or_else(|| "-".into(), cell)
        }
        let mut columns: Vec<(Column, Cell<Row>)> = vec![
            (words("model"), |row| escape(&row.model)),
            (words("computed by"), |row| row.computed_by.to_string()),
            (number("perplexity"), |row| {
                let shown = |value| format!("{value:.4}");
                between(row.measured.perplexity, row.measured.interval, shown)
            }),
            (number("mean KL"), |row| {
                let shown = |value| scientific(Some(value));
                from(row, |from| between(from.mean_kl, from.interval, shown))
            }),
            (number("median"), |row| {
                from(row, |from| scientific(Some(from.median_kl)))
            }),
            (number("tail"), |row| {
                from(row, |from| scientific(Some(from.tail_kl)))
            }),
            (number("error"), |row| {
                from(row, |from| scientific(from.error))
            }),
            (number("same top-1"), |row| {
                from(row, |from| {
                    format!("{}/{}", from.same_top1, row.measured.positions)
                })
            }),
            (number("equal bits"), |row| {
                from(row, |from| format!("{}/{}", from.equal_logits, from.logits))
            }),
        ];
        if self.rows.iter().any(|row| row.error_ratio.is_some()) {
            columns.push((number("error ratio"), |row| {
                let ratio = row.error_ratio.map(|ratio| format!("{ratio:.3}"));
                ratio.unwrap_or_else(|| "-".into())
            }));
        }
        format!(
            "{} chunks of {} tokens of {}, sha256 {}\n",
            self.chunks,
            self.context,
            escape(&self.text),
            self.text_sha256
        ) + &Table::of(&self.rows, &columns).render(output::width())
    }
}
